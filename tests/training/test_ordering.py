"""Samples about one image come next to one another where a recipe wants it, and each of them once an epoch."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from thinkseg.data.synthetic.scenes import load_scenes
from thinkseg.training.holding_out import SamplesAt
from thinkseg.training.ordering import create_schedule, places_by_image

from .conftest import square


@pytest.fixture
def asked():
    """Six samples about two images, of which each sample has a copy."""
    squares = [square(1), square(2)]
    order = (0, 1, 0, 0, 1, 0)
    return [replace(squares[at], image=Image.fromarray(np.asarray(squares[at].image))) for at in order]


def test_an_image_in_memory_is_the_same_where_its_pixels_are(asked):
    assert places_by_image(asked) == [[0, 2, 3, 5], [1, 4]]


def test_a_part_of_samples_is_looked_for_where_it_comes_from(asked):
    assert places_by_image(SamplesAt(asked, [5, 4, 3])) == [[0, 2], [1]]


def test_an_image_on_disk_is_told_by_its_name_and_not_opened(tmp_path):
    missing = [replace(square(1), image=tmp_path / name) for name in ("a.png", "b.png", "a.png")]
    assert places_by_image(missing) == [[0, 2], [1]]


def test_each_epoch_draws_an_order_of_the_images(asked, sft_recipe):
    schedule = create_schedule(sft_recipe(data={"shuffle": "images"}, seed=1), asked)
    epochs = [tuple(schedule[row] for row in range(start, start + 6)) for start in range(0, 48, 6)]
    assert set(epochs) == {(0, 2, 3, 5, 1, 4), (1, 4, 0, 2, 3, 5)}


def test_where_no_image_comes_again_one_line_says_that_nothing_is_kept_together(asked, sft_recipe, capsys):
    scenes, images = load_scenes("train", 9, size=32), sft_recipe(data={"shuffle": "images"})
    create_schedule(images, asked)
    create_schedule(sft_recipe(), scenes)
    assert capsys.readouterr().err == ""
    schedule = create_schedule(images, SamplesAt(scenes, list(range(8, -1, -1))))
    assert capsys.readouterr().err == (
        "thinkseg: 'data.shuffle: images' keeps nothing together: each of the 9 samples has an image of its own; it "
        "needs data with several samples about an image\n"
    )
    assert sorted(schedule[row] for row in range(9)) == list(range(9))


def test_else_the_order_is_of_samples_or_that_of_the_source(asked, sft_recipe):
    drawn = create_schedule(sft_recipe(), asked)
    epochs = [[drawn[row] for row in range(start, start + 6)] for start in range(0, 48, 6)]
    assert all(sorted(epoch) == list(range(6)) for epoch in epochs)
    assert any(epoch not in ([0, 2, 3, 5, 1, 4], [1, 4, 0, 2, 3, 5]) for epoch in epochs)  # images torn apart
    kept = create_schedule(sft_recipe(data={"shuffle": False}), asked)
    assert [kept[row] for row in range(12)] == [*range(6), *range(6)]
