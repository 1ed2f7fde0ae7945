"""What the main job asks of the pocket: mostly what it was taught, and a word that it was not."""

from collections import Counter

import pytest

from thinkseg.data.synthetic.scenes import DEFAULT_TASKS, load_scenes
from thinkseg.quickstart.options import QuickstartOptions
from thinkseg.quickstart.tools import TASKS


def test_a_quarter_of_the_scenes_asks_for_number_one_and_the_others_keep_their_shares() -> None:
    scenes = load_scenes("test", 512, tasks=TASKS)
    asked = Counter(scenes.task_of(index) for index in range(512))
    assert asked["jargon"] == 128
    for task, share in DEFAULT_TASKS.items():
        assert asked[task] == pytest.approx(384 * share, abs=2), task


def test_the_recipe_trains_what_ships_on_the_tasks_that_are_measured() -> None:
    recipe = QuickstartOptions().load_recipe()
    assert recipe.model.path == "pocket"
    assert recipe.data.tasks is not None
    assert set(recipe.data.tasks) == set(TASKS)
    assert recipe.data.split == "train"
