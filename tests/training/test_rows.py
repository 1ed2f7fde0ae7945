"""Rows show the same sample at the same step of every run, and the model sees of an image what it always sees."""

import dataclasses
import multiprocessing
import pickle
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from thinkseg import testing
from thinkseg.answers import AnswerFormat, get_format
from thinkseg.data.readers.folders import list_folders
from thinkseg.errors import DataError, ImageError
from thinkseg.geometry import reference_answer
from thinkseg.models.reasoner import TransformersReasoner, chat_messages
from thinkseg.models.resizing import ImageResizer
from thinkseg.training.rows import RowBuilder, Rows, Schedule, read_named
from thinkseg.training.sft import ImitationCollator
from thinkseg.training.sources import JoinedSamples
from thinkseg.types import Answer, Box, Instruction, ObjectPrompt, Point, Sample, Size

from ..conftest import example_in

FORMAT = get_format("seg-r1", Instruction("Where is {query}?", "Look."))


class Counted(Sequence):
    """A sequence of many samples that remembers which ones were asked for."""

    def __init__(self, samples, length):
        self.samples = samples
        self.length = length
        self.asked = []

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        self.asked.append(index)
        return self.samples[index % len(self.samples)]


@pytest.fixture
def rows_of(reasoner):
    def create(samples, count=12, **options):
        builder = RowBuilder(samples, Schedule(len(samples), shuffle=False), FORMAT, reasoner, **options)
        return Rows(builder, count)

    return create


def test_each_epoch_shows_every_sample_once_in_an_order_of_its_own():
    schedule = Schedule(50, seed=3)
    epochs = [[schedule[row] for row in range(50 * epoch, 50 * epoch + 50)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_the_sample_of_a_row_depends_on_the_seed_and_the_row_alone():
    forward, backward = Schedule(20, seed=1), Schedule(20, seed=1)
    expected = [forward[row] for row in range(60)]
    assert [backward[row] for row in reversed(range(60))] == expected[::-1]
    assert [Schedule(20, seed=2)[row] for row in range(60)] != expected


def test_without_shuffling_the_order_is_that_of_the_samples():
    schedule = Schedule(3, shuffle=False)
    assert [schedule[row] for row in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_a_sample_is_asked_for_only_when_a_batch_shows_it_and_once_for_all_its_rows(squares, rows_of):
    samples = Counted(squares, 100_000)
    rows = rows_of(samples, count=300_000)
    assert len(rows) == 300_000
    assert len(samples.asked) < 9  # the type checker of the tests looks at one here and there
    samples.asked.clear()
    rows.__getitems__([5, 5, 5, 7, 7])
    rows.__getitems__([5, 5, 5, 7, 7])  # the same rollouts, trained on again
    assert samples.asked == [5, 7]
    rows.__getitems__([9])
    rows.__getitems__([5])
    assert samples.asked == [5, 7, 9, 5]  # nothing but the latest batch is kept


def test_rows_of_one_sample_share_its_image(squares, rows_of):
    first, second, other = rows_of(squares).__getitems__([0, 0, 1])
    assert first["image"] is second["image"]
    assert first["images"][0] is second["images"][0]
    assert first["image"] is not other["image"]


def test_a_row_holds_the_messages_of_use_the_image_as_it_is_and_the_truth(squares, rows_of, reasoner):
    row = rows_of(squares)[2]
    assert row["prompt"] == chat_messages(FORMAT.instruction("the square"))
    assert [part["type"] for part in row["prompt"][1]["content"]] == ["image", "text"]
    assert row["image"].size == squares[2].image.size
    assert row["target"] is squares[2].target
    assert (row["sample"], row["task"]) == ("square-2", "salient")


@pytest.mark.parametrize("size", [(64, 64), (448, 448), (300, 448), (640, 480), (120, 700), (97, 33)])
def test_the_frame_is_that_of_the_image_as_the_model_sees_it(size, rows_of, reasoner):
    image = Image.new("RGB", size)
    row = rows_of([Sample("x", image, "it")])[0]
    assert Size(*row["frame"]) == reasoner.frame_of(image)


@pytest.mark.parametrize("tiny", [testing.tiny_qwen2_vl, testing.tiny_qwen2_5_vl, testing.tiny_qwen3_vl])
@pytest.mark.parametrize("size", [(448, 448), (300, 448), (640, 480), (120, 700), (97, 33), (112, 112)])
def test_the_processor_makes_the_same_of_an_image_that_is_resized_beforehand(tiny, size):
    reasoner = TransformersReasoner(*tiny())
    noise = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    process = reasoner.processor.image_processor
    whole, seen = (
        process(images=[image], return_tensors="pt") for image in (image, ImageResizer(reasoner).resize(image))
    )
    assert torch.equal(whole["image_grid_thw"], seen["image_grid_thw"])
    assert torch.equal(whole["pixel_values"], seen["pixel_values"])


def test_a_large_image_is_handed_over_small():
    reasoner = TransformersReasoner(*testing.tiny_qwen2_5_vl())
    seen = ImageResizer(reasoner).resize(Image.new("RGB", (2000, 1000)))
    assert seen.width * seen.height <= 112 * 112


def test_an_image_that_would_be_resized_twice_is_left_to_the_processor():
    model, processor = testing.tiny_qwen2_5_vl()
    processor.image_processor.size = {"shortest_edge": 112 * 112, "longest_edge": 112 * 112}
    image = Image.new("RGB", (448, 300))
    assert ImageResizer(TransformersReasoner(model, processor)).resize(image) is image


def test_a_canvas_stretches_the_image_before_the_processor_sees_it():
    model, processor = testing.tiny_qwen2_5_vl()
    seen = ImageResizer(TransformersReasoner(model, processor, canvas=84)).resize(Image.new("RGB", (300, 100)))
    assert seen.size == (84, 84)


def test_a_family_whose_images_have_no_grid_keeps_them_as_they_are():
    image = Image.new("RGB", (100, 50))
    assert ImageResizer(TransformersReasoner(*testing.tiny_internvl())).resize(image) is image


def test_a_reference_answer_is_written_in_the_models_frame(rows_of):
    answer = Answer(Size(448, 448), (ObjectPrompt(Box(0, 0, 448, 224), (Point(224, 112),)),), "all of it")
    sample = Sample("x", Image.new("RGB", (448, 448)), "it", reference=answer)
    row = rows_of([sample], with_answers=True)[0]
    assert row["frame"] == [112, 112]
    assert row["answer"] == FORMAT.render(answer.rescaled(Size(112, 112)))
    assert FORMAT.parse(row["answer"], Size(112, 112)).objects[0].box == Box(0, 0, 112, 56)


def test_a_mask_stands_in_for_a_missing_reference_answer(squares, rows_of):
    row = rows_of(squares, with_answers=True)[0]
    (prompt,) = FORMAT.parse(row["answer"], Size(*row["frame"])).rescaled(Size(64, 64)).objects
    point = prompt.points[0]
    assert squares[0].target[round(point.y), round(point.x)]


def test_seg_zero_has_two_points_on_the_object_and_keeps_the_thinking(squares, reasoner):
    answer = reference_answer(squares[0].target, think="It is bright.")
    sample = dataclasses.replace(squares[0], reference=answer)
    builder = RowBuilder([sample], Schedule(1), get_format("seg-zero"), reasoner, with_answers=True)
    row = builder([0])[0]
    points = row["reference"].objects[0].points
    assert len(points) == 2
    assert all(sample.target[int(point.y), int(point.x)] for point in points)
    assert row["answer"].startswith("<think>It is bright.</think><answer>")


def test_the_truth_of_boxes_and_points_is_made_from_masks_where_a_sample_has_none(squares, rows_of):
    bare = Sample("bare", squares[0].image, "it")
    rows = rows_of([squares[0], bare])
    assert rows[0]["reference"] == reference_answer(squares[0].target)
    assert rows[1]["reference"] is None


def test_a_row_holds_the_true_objects_one_by_one(squares, rows_of):
    instances = np.stack([squares[0].target, ~squares[0].target])
    rows = rows_of([dataclasses.replace(squares[0], instances=instances), squares[1]])
    assert rows[0]["instances"] is instances
    assert rows[1]["instances"] is squares[1].instances


def test_a_sample_with_neither_is_refused_by_its_name(rows_of):
    with pytest.raises(DataError, match=r"'bare' has neither a reference answer nor a mask"):
        rows_of([Sample("bare", Image.new("RGB", (64, 64)), "it")], with_answers=True)[0]


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"query": " "}, DataError, r"query of sample 'square-0' is empty"),
        ({"query": "a <|image_pad|>"}, DataError, r"contains '<\|image_pad\|>', a control token"),
        ({"target": np.zeros((3, 4), bool)}, ImageError, r"'square-0' is 4×3 .*, its image 64×64"),
        ({"target": None, "ignore": np.zeros((64, 65), bool)}, ImageError, r"'square-0' is 65×64 .* image 64×64"),
        (
            {"target": None, "instances": np.zeros((2, 64, 65), bool)},
            ImageError,
            r"'square-0' is 65×64 .* image 64×64",
        ),
        ({"image": Image.new("RGB", (900, 4)), "target": None}, ImageError, r"'square-0' cannot be trained on.*900×4"),
    ],
)
def test_a_sample_that_cannot_be_trained_on_is_refused_by_its_name(squares, rows_of, changes, error, sentence):
    with pytest.raises(error, match=sentence):
        rows_of([dataclasses.replace(squares[0], **changes)])[0]


@pytest.fixture(scope="module")
def anew():
    """How workers are started that share nothing with this process: their server loads the packages once for all."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return "spawn"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["thinkseg.training.sft"])
    return context


@pytest.mark.parametrize("with_answers", [False, True], ids=["rl", "sft"])
def test_workers_that_are_started_anew_make_the_same_rows_while_the_model_is_at_work(
    reasoner, squares, with_answers, anew
):
    """As on macOS, and everywhere from Python 3.14 on: what a worker is given goes through a pickle."""
    builder = RowBuilder(squares, Schedule(6), get_format("seg-r1"), reasoner, with_answers=with_answers)
    rows = Rows(builder, 4)
    collate = ImitationCollator(reasoner.processor) if with_answers else list
    with reasoner.family.encoding_once(reasoner.model):
        loader = DataLoader(rows, 2, collate_fn=collate, num_workers=1, multiprocessing_context=anew)
        found = list(loader)
    expected = [collate(rows.__getitems__([0, 1])), collate(rows.__getitems__([2, 3]))]
    for batch, own in zip(found, expected, strict=True):
        if with_answers:
            assert batch.keys() == own.keys()
            assert all(torch.equal(batch[name], own[name]) for name in own)
        else:
            assert [(row["sample"], row["frame"], row["prompt"]) for row in batch] == [
                (row["sample"], row["frame"], row["prompt"]) for row in own
            ]
            assert all((row["target"] == mine["target"]).all() for row, mine in zip(batch, own, strict=True))
    assert len(pickle.dumps(rows)) < 200_000  # without the model, which is larger


def test_a_worker_that_is_started_anew_runs_the_file_of_a_format_of_ones_own(reasoner, squares, tmp_path, anew):
    file = tmp_path / "my_format.py"
    file.write_text(example_in(AnswerFormat), encoding="utf-8")
    rows = Rows(RowBuilder(squares, Schedule(6), get_format(f"{file}:Boxes"), reasoner), 1)
    own = rows[0]["prompt"]
    with reasoner.family.encoding_once(reasoner.model):
        loader = DataLoader(rows, 1, collate_fn=list, num_workers=1, multiprocessing_context=anew)
        ((row,),) = list(loader)
    assert row["prompt"] == own


def test_a_sample_whose_mask_cannot_be_read_is_refused_by_its_name(tmp_path):
    images, masks = tmp_path / "images", tmp_path / "masks"
    for folder in (images, masks):
        folder.mkdir()
        for name in "ab":
            Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(folder / f"{name}.png")
    listing = list_folders(images, masks, "it", name="photos")
    joined = JoinedSamples([listing, listing])
    (masks / "b.png").write_bytes(b"no image")
    assert read_named(joined, 2).id == "a"
    for index in (1, 3):
        with pytest.raises(DataError, match=r"sample 'b' of photos cannot be trained on: '.*masks/b.png' is not an"):
            read_named(joined, index)
