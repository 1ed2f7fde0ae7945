"""No image is trained on and validated on, and nobody loses samples who has not asked for it."""

import numpy as np
import pytest
from PIL import Image

from thinkseg.data.synthetic.scenes import load_scenes
from thinkseg.errors import DataError, RecipeError
from thinkseg.training.holding_out import HeldOut, hold_out, split_off
from thinkseg.training.sources import load_samples
from thinkseg.types import Sample

from .conftest import square


def asked_twice(count):
    """Samples of which two in succession are about one image."""
    return [Sample(f"{index}", f"{index // 2}.jpg", "the square") for index in range(count)]


def loaded(calls):
    """A loader that keeps what it was asked for."""

    def load(data):
        calls.append(data)
        return [square(index) for index in range(10)]

    return load


def test_all_samples_of_an_image_are_on_one_side():
    train, held_out = split_off(asked_twice(40), 0.25, seed=3)
    images = [{place // 2 for place in places} for places in (train, held_out)]
    assert images[0].isdisjoint(images[1])
    assert len(images[1]) == 5  # a quarter of twenty
    assert sorted(train + held_out) == list(range(40))
    assert split_off(asked_twice(40), 0.25, seed=3) == (train, held_out)
    assert split_off(asked_twice(40), 0.25, seed=4) != (train, held_out)


def test_equal_images_in_memory_are_one_image():
    pixels = [np.full((4, 4, 3), value, np.uint8) for value in (0, 0, 1, 1)]
    samples = [Sample(f"{n}", Image.fromarray(array), "x") for n, array in enumerate(pixels)]
    train, held_out = split_off(samples, 0.5, seed=0)
    assert {tuple(train), tuple(held_out)} == {(0, 1), (2, 3)}


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_each_side_has_an_image_at_least(share):
    train, held_out = split_off(asked_twice(6), share, seed=0)
    assert train
    assert held_out


def test_a_single_image_cannot_be_split():
    with pytest.raises(DataError, match="only one image in 2 samples"):
        split_off(asked_twice(2), 0.5, seed=0)


def test_a_recipe_that_does_not_validate_trains_on_all(rl_recipe, squares):
    held = hold_out(rl_recipe(), loaded([]), squares)
    assert held.train is squares
    assert len(held.validation) == 0


def test_where_nothing_is_said_a_tenth_of_the_images_is_held_out(rl_recipe):
    samples = [square(index) for index in range(20)]
    held = hold_out(rl_recipe(validation={"every": 5}), loaded([]), samples)
    assert (len(held.train), len(held.validation)) == (18, 2)
    assert held.told == "0.1 of the images, drawn by seed 0"
    assert {sample.id for sample in held.train}.isdisjoint({sample.id for sample in held.validation})


def test_scenes_are_validated_on_other_scenes_and_lose_none(rl_recipe):
    recipe = rl_recipe(
        data={"source": "scenes", "size": 64, "count": 30, "seed": 1}, validation={"every": 5, "samples": 4}
    )
    held = hold_out(recipe, load_samples)
    assert (len(held.train), len(held.validation)) == (30, 4)
    assert held.validation[0].id == load_scenes("train", 4, 1_000_004, size=64)[0].id
    trained = [np.asarray(sample.image) for sample in held.train]
    for sample in held.validation:
        assert not any(np.array_equal(np.asarray(sample.image), other) for other in trained)


def test_another_split_of_the_source_and_data_of_their_own_are_loaded_as_they_are(rl_recipe):
    calls = []
    source = {"source": "dataset", "name": "cod10k", "root": "."}
    held = hold_out(rl_recipe(data=source, validation={"every": 5, "split": "val", "samples": 4}), loaded(calls))
    assert [data.split for data in calls] == ["train", "val"]
    assert calls[1].name == "cod10k"
    assert [sample.id for sample in held.validation] == ["square-0", "square-3", "square-6", "square-9"]
    calls.clear()
    own = {"every": 5, "data": {"source": "folders", "images": "a", "masks": "b"}}
    hold_out(rl_recipe(data=source, validation=own), loaded(calls))
    assert [data.source for data in calls] == ["dataset", "folders"]


def test_samples_that_are_given_to_validate_on_win(rl_recipe, squares):
    held = hold_out(rl_recipe(validation={"every": 5}), loaded([]), HeldOut(squares, squares[:2]))
    assert len(held.train) == len(squares)
    assert len(held.validation) == 2


def test_the_split_that_is_trained_on_is_no_other_one(rl_recipe):
    with pytest.raises(RecipeError, match="should be another one than is trained on, found 'train'"):
        hold_out(rl_recipe(validation={"split": "train"}), loaded([]))


def test_two_sources_at_once_are_refused(rl_recipe):
    with pytest.raises(RecipeError, match="found 'split' and 'share'"):
        rl_recipe(validation={"split": "val", "share": 0.1})


def test_samples_of_the_call_have_no_other_split(rl_recipe, squares):
    with pytest.raises(RecipeError, match="these were given in the call"):
        hold_out(rl_recipe(validation={"split": "val"}), loaded([]), squares)
