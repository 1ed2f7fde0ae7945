"""Scenes are deterministic, exact, and never mix training with held-out images."""

import json

import numpy as np
import pytest

from thinkseg.data.synthetic.assets import load_assets
from thinkseg.data.synthetic.queries import TASKS
from thinkseg.data.synthetic.scenes import DEFAULT_TASKS, create_scene, load_scenes
from thinkseg.errors import DataError
from thinkseg.geometry import box_from_mask

SMALL = 96


def test_the_same_numbers_give_the_same_scene() -> None:
    one, other = load_scenes("test", 4, seed=3, size=SMALL)[2], load_scenes("test", 9, seed=3, size=SMALL)[2]
    assert np.array_equal(np.asarray(one.image), np.asarray(other.image))
    assert np.array_equal(one.target, other.target)
    assert (one.id, one.query, one.reference) == (other.id, other.query, other.reference)


def test_another_seed_or_index_gives_another_scene() -> None:
    scenes = load_scenes("test", 4, seed=3, size=SMALL)
    assert not np.array_equal(np.asarray(scenes[0].image), np.asarray(scenes[1].image))
    assert not np.array_equal(
        np.asarray(scenes[0].image), np.asarray(load_scenes("test", 4, seed=4, size=SMALL)[0].image)
    )


def test_held_out_scenes_share_no_cut_out_and_no_background_with_training() -> None:
    train, test = load_assets("train"), load_assets("test")
    assert not {c.file for c in train.cutouts} & {c.file for c in test.cutouts}
    assert not set(train.backgrounds) & set(test.backgrounds)
    assert len(test.cutouts) >= 50
    assert len(test.backgrounds) >= 12


def test_every_kind_that_may_be_asked_for_has_members_on_both_sides() -> None:
    for split in ("train", "test"):
        assets = load_assets(split)
        present = {kind for cutout in assets.cutouts for kind in cutout.kinds}
        assert assets.asked_kinds <= present


@pytest.mark.parametrize("task", TASKS)
def test_a_query_has_one_thing_as_its_answer_or_none(task: str) -> None:
    assets = load_assets("test")
    for index in range(12):
        scene = create_scene(assets, 11, index, task, SMALL)
        assert scene.image.shape == (SMALL, SMALL, 3)
        assert scene.query.text
        if task == "nothing":
            assert not scene.target.any()
        else:
            assert scene.target.any()
            assert scene.target.mean() > 0.001
        for number, thing in enumerate(scene.things, start=1):
            assert (scene.index_map == number).mean() == pytest.approx(thing.area)


def test_no_kind_named_by_a_query_for_nothing_is_in_the_scene() -> None:
    assets = load_assets("test")
    for index in range(40):
        scene = create_scene(assets, 5, index, "nothing", SMALL)
        present = {kind for thing in scene.things for kind in thing.kinds}
        assert scene.query.text.removeprefix("the ") not in present


def test_number_one_is_the_leftmost_thing_by_a_clear_distance() -> None:
    assets = load_assets("test")
    for index in range(12):
        scene = create_scene(assets, 8, index, "jargon", SMALL)
        assert scene.query.text == "number one"
        assert scene.query.target is not None
        centres = [thing.centre[0] for thing in scene.things]
        own = centres.pop(scene.query.target)
        assert centres
        assert own + 0.12 < min(centres)


def test_scenes_ask_in_words_that_were_not_taught_only_where_one_says_so() -> None:
    assert "jargon" not in DEFAULT_TASKS
    assert {load_scenes("test", 64, size=SMALL).task_of(index) for index in range(64)} == set(DEFAULT_TASKS)


def test_a_reasoning_query_is_not_given_while_another_thing_might_answer_it() -> None:
    assets = load_assets("train")
    questions = {question.query: question for question in assets.reasoning}
    for index in range(40):
        scene = create_scene(assets, 6, index, "reasoning", SMALL)
        question = questions[scene.query.text]
        assert scene.query.target is not None
        assert question.fits.intersection(scene.things[scene.query.target].kinds)
        for position, thing in enumerate(scene.things):
            if position != scene.query.target:
                assert not (question.fits | question.unfair).intersection(thing.kinds)


def test_a_scene_at_another_size_is_nearly_always_the_same_scene() -> None:
    assets = load_assets("test")
    same = 0
    for index in range(8):
        small, large = (create_scene(assets, 2, index, "salient", size) for size in (112, 224))
        same += abs(small.target.mean() - large.target.mean()) < 0.01
    assert same >= 7


def test_the_reference_answer_fits_its_target() -> None:
    for sample in load_scenes("test", 12, seed=8, size=SMALL):
        assert sample.reference is not None
        assert sample.target is not None
        if not sample.target.any():
            assert sample.reference.objects == ()
            continue
        prompt = sample.reference.objects[0]
        assert prompt.box == box_from_mask(sample.target, inclusive=True)
        assert all(sample.target[int(p.y), int(p.x)] for p in prompt.points if p.label == 1)


def test_any_run_of_samples_has_the_tasks_in_their_shares() -> None:
    scenes = load_scenes("test", 10_000, seed=0)
    for start in (0, 300):
        tasks = [scenes.task_of(index) for index in range(start, start + 256)]
        for task, share in DEFAULT_TASKS.items():
            assert tasks.count(task) / 256 == pytest.approx(share, abs=0.02)


def test_targets_are_of_every_size() -> None:
    sides = []
    for sample in load_scenes("test", 80, seed=1, size=SMALL):
        if sample.target is not None and sample.target.any():
            box = box_from_mask(sample.target)
            assert box is not None
            sides.append(max(box.x_max - box.x_min, box.y_max - box.y_min) / SMALL)
    assert min(sides) < 0.2
    assert max(sides) > 0.8


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"split": "val"}, "'train' or 'test'"),
        ({"tasks": {"counting": 1.0}}, "counting"),
        ({"tasks": {"salient": 0.0}}, "above 0"),
        ({"size": 8}, "at least 32"),
    ],
)
def test_impossible_wishes_are_refused_in_a_sentence(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        load_scenes(**options)  # type: ignore[arg-type]


def test_every_pocket_image_names_its_source_and_its_licence() -> None:
    folder = load_assets("train").folder
    about = json.loads((folder / "images.json").read_text(encoding="utf-8"))
    entries = about["cutouts"] + about["backgrounds"]
    assert all(entry["licence"] and entry["copyright"] and entry["package"] for entry in entries)
    listed = {entry["file"] for entry in entries}
    assert listed == {str(f.relative_to(folder)) for f in folder.glob("*/*")}


def test_a_negative_seed_is_told() -> None:
    with pytest.raises(DataError, match="seed of at least 0, found -1"):
        load_scenes("test", 2, seed=-1)
