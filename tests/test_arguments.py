"""An argument of the wrong kind is told in a sentence by every public call, before anything is done."""

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import thinkseg
from thinkseg.answers import get_format
from thinkseg.arguments import COUNT, FLAG, NAMES, PATH, TEXT, instance, many, optional, read_one_by_one, takes
from thinkseg.errors import CheckpointError, InputError
from thinkseg.inputs import check_sample
from thinkseg.models.pipeline import Pipeline
from thinkseg.testing import FakeReasoner, FakeSegmenter

IMAGE = Image.new("RGB", (64, 48), "white")
ANSWER = "<think>a</think><bbox>[10,5,19,14]</bbox><points></points><labels></labels>"
PIPELINE = Pipeline(FakeReasoner(lambda _: ANSWER), FakeSegmenter(), get_format("seg-r1"))
TARGET = np.zeros((48, 64), bool)
SAMPLE = thinkseg.Sample("s", IMAGE, "q", TARGET)


def result() -> thinkseg.Result:
    return PIPELINE.segment(IMAGE, "it")


CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any], dict[str, list[Any]]]] = {
    "load": (
        thinkseg.load,
        {},
        {
            "model": [None, 3, b"a", [], "a\0b"],
            "segmenter": [3, []],
            "format": [3, []],
            "device": [None, 0],
            "dtype": [None, np.float32],
            "batch_size": [0, -1, 1.5, "4", True],
            "family": [3],
            "frame": [[]],
        },
    ),
    "segment": (PIPELINE.segment, {"image": IMAGE, "query": "q"}, {"query": [None, 3, b"q", ["a", "b"], IMAGE]}),
    "predict": (PIPELINE.predict, {"samples": [SAMPLE]}, {"samples": [None, 3, "a"], "batch_size": [0, -1, 1.5, None]}),
    "segment_files": (
        thinkseg.segment_files,
        {"jobs": "a.png", "query": "q", "model": PIPELINE},
        {
            "jobs": [None, 3, [3], [None], IMAGE],
            "query": [None, ["a"]],
            "model": [None, 3, []],
            "out": [None, 3, "a\0b"],
            "index": [None, "yes", np.ones(3)],
            "instances": ["no"],
            "overwrite": [2],
            "batch_size": [0, "8"],
            "segmenter": [3],
            "format": [3],
            "device": [None],
            "dtype": [3],
            "load": [3],
        },
    ),
    "evaluate": (
        thinkseg.evaluate,
        {"benchmark": [SAMPLE], "model": PIPELINE},
        {
            "benchmark": [None, 3, [3], ["a"], SAMPLE],
            "model": [None, 3],
            "out": [3],
            "data": [3],
            "protocol": [None, 3],
            "limit": [0, -1, 1.5, "3"],
            "seed": [-1, None, 1.5],
            "batch_size": [0],
            "processes": [0, None],
            "shard": [3],
            "segmenter": [3],
            "device": [None],
            "save_masks": [None, "yes"],
            "measures": [3, [3]],
            "progress": [None],
        },
    ),
    "compare": (
        thinkseg.compare,
        {"runs": ["a", "b"]},
        {
            "runs": [None, 3, "a", [3, 4]],
            "names": [3, "ab", [3]],
            "measures": [3, "giou"],
            "seed": [-1, None, 0.5],
            "out": [3],
            "data": [[]],
        },
    ),
    "train": (
        thinkseg.train,
        {"recipe": "pocket/rl"},
        {"recipe": [None, 3, {}], "resume": [None, "yes"], "allow": [None, 3, "seed"]},
    ),
    "score": (
        thinkseg.score,
        {"completions": [], "format": "seg-r1"},
        {
            "completions": [None, 3],
            "format": [3],
            "recipe": [3, []],
            "rewards": [3, ["iou"]],
            "segmenter": [3],
            "folder": [None, 3],
            "encoding": [None, 3],
        },
    ),
    "measure": (
        thinkseg.measure,
        {"pred": TARGET, "target": TARGET},
        {"pred": [None, 3, [], b"a", IMAGE], "target": [None, IMAGE], "ignore": [3], "measures": [3, [3]]},
    ),
    "measure_folders": (
        thinkseg.measure_folders,
        {"predictions": "a", "targets": "b"},
        {
            "predictions": [None, 3, TARGET],
            "targets": [None],
            "measures": [3],
            "resize": [None, "area"],
            "processes": [0, -1, 1.5],
            "progress": [3],
        },
    ),
    "reward": (
        thinkseg.reward,
        {},
        {
            "needs_masks": [None, "mask"],
            "needs": [None, 3, "mask", [3]],
            "batch": [2],
            "name": [3],
            "points": [-1, 1.5],
        },
    ),
    "open": (
        thinkseg.Run.open,
        {"folder": "a"},
        {"folder": [None, 3, b"a"], "name": [None, 3], "measures": [3, "giou"]},
    ),
    "save": (
        result().save,
        {},
        {"folder": [None, 3, "a\0b"], "name": [3, "a\0b"], "index": [None, "yes"], "instances": [3]},
    ),
    "overlay": (result().overlay, {}, {"longest_side": [0, -1, 1.5, "big"]}),
    "cutout": (result().cutout, {}, {"crop": [None, "yes"]}),
    "from_record": (
        thinkseg.Result.from_record,
        {"record": result().to_record(), "image": IMAGE},
        {"record": [None, 3, []], "image": [None, "a.png", TARGET]},
    ),
}
WRONG = [
    (call, name, value) for call, (_, _, wrong) in CALLS.items() for name, values in wrong.items() for value in values
]


@pytest.mark.parametrize(
    ("call", "name", "value"), WRONG, ids=[f"{call} {name} {i}" for i, (call, name, _) in enumerate(WRONG)]
)
def test_an_argument_of_the_wrong_kind_is_named_with_what_it_should_be(call, name, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, right, _ = CALLS[call]
    with pytest.raises(InputError) as caught:
        function(**{**right, name: value})
    told = str(caught.value)
    assert re.match(rf"('{name}' of {call}|each of the '{name}' of {call}) should be .+, found .+", told), told
    assert "\n" not in told
    assert list(tmp_path.iterdir()) == []


JOBS = """
import thinkseg
from pathlib import Path
for name, value in (("image", None), ("image", 3), ("query", None), ("query", ["q"]), ("name", 3)):
    try:
        thinkseg.Job(**{"image": Path("a.png"), "query": "q", name: value})
    except thinkseg.ThinkSegError as error:
        print(error)
print(repr(thinkseg.Job("a/b.png", "q").image == Path("a/b.png")))
"""


def test_a_job_takes_a_path_as_text_and_is_refused_where_it_is_made():
    # In a process of its own: the tests' own check of types would come first.
    done = subprocess.run([sys.executable, "-c", JOBS], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "'image' of a job should be a path, found None",
        "'image' of a job should be a path, found 3",
        "'query' of a job should be text, found None",
        "'query' of a job should be text, found a value of the kind 'list'",
        "'name' of a job should be the name of a file, found 3",
        "True",
    ]


@pytest.mark.parametrize("value", ["no query", thinkseg.Instruction("no query"), {"user": "no query"}])
def test_an_instruction_without_a_place_for_the_query_is_told(value):
    with pytest.raises(
        CheckpointError, match=r"'instruction' has no place for the query: write \{query\} into its text"
    ):
        thinkseg.load(instruction=value)


def test_an_instruction_may_be_text_and_nothing_else_is_one():
    loaded = thinkseg.load(device="cpu", instruction="find {query}")
    assert loaded.answer_format.instruction("a cat").user == "find a cat"
    with pytest.raises(InputError, match=r"'instruction' should be an Instruction, or the user's text .*, found 3"):
        thinkseg.load(instruction=3)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("id", 3, "'id' of a sample should be text, found 3"),
        ("image", 3, "'image' of sample 's' should be a path or a PIL image, found 3"),
        ("query", None, "'query' of sample 's' should be text, found None"),
        ("target", TARGET.astype(np.uint8), "'target' of sample 's' should be a boolean array or None, found a value"),
        ("ignore", "a.png", "'ignore' of sample 's' should be a boolean array or None, found 'a.png'"),
        ("count", -1, "'count' of sample 's' should be a whole number from 0 or None, found -1"),
    ],
)
def test_a_sample_of_the_caller_s_own_is_looked_at(name, value, told):
    sample = thinkseg.Sample("s", IMAGE, "q", TARGET)
    object.__setattr__(sample, name, value)
    with pytest.raises(InputError, match=re.escape(told)):
        check_sample(sample)
    with pytest.raises(InputError, match=re.escape(told)):
        thinkseg.evaluate([sample], PIPELINE, progress=False)


class Lazy(Sequence[thinkseg.Sample]):
    """Samples that are made when they are asked for, each of which is counted."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        self.read.append(index)
        return replace(SAMPLE, id=str(index))


def test_samples_that_are_read_one_by_one_are_not_read_beforehand():
    @takes(samples=read_one_by_one(instance("a sample", thinkseg.Sample), "a list of samples"))
    def call(samples):
        return samples

    samples = Lazy()
    assert call(samples) is samples
    assert samples.read == []
    for wrong in (3, "abc", {}, [3], None):
        with pytest.raises(InputError, match="'samples' of call should be a list of samples"):
            call(wrong)
    assert len(thinkseg.evaluate(samples, PIPELINE, progress=False).records) == 3


def test_a_record_that_lacks_something_is_told():
    with pytest.raises(InputError, match="the record of 'image' is none that `save` writes: KeyError"):
        thinkseg.Result.from_record({}, IMAGE)


def test_a_class_or_a_number_is_no_part_of_the_reward():
    for value, said in ((3, "found 3"), (dict, "found the class 'dict'")):
        with pytest.raises(InputError, match=f"should be a function of one RewardInput, {said}"):
            thinkseg.reward()(value)


def test_what_is_of_the_right_kind_passes_and_numbers_of_numpy_are_numbers():
    @takes(a=COUNT, b=FLAG, c=optional(PATH), d=NAMES, e=many(TEXT, "texts"))
    def call(a, b=True, *, c=None, d=(), e=()):
        """The call."""
        return a, b, c, d, e

    assert call(np.int64(3), np.bool_(False), c=Path("x"), d=["y"]) == (3, False, Path("x"), ["y"], ())
    assert call.__doc__ == "The call."
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        call(3, z=1)
