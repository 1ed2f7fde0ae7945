"""Models from outside the package: the contracts' examples keep them, and what breaks one is told in a sentence."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.errors import CheckpointError, InputError
from thinkseg.extension import import_reference
from thinkseg.models.base import Reasoner, Segmenter
from thinkseg.models.families import FAMILIES, Family, family_of, frame_by_family
from thinkseg.models.pipeline import Pipeline
from thinkseg.models.segmenter import load_segmenter
from thinkseg.testing import FakeSegmenter
from thinkseg.types import Answer, Box, ObjectPrompt, Size

from ..conftest import example_in

Write = Callable[[str], str]

SEGMENTER = """
import numpy as np
from thinkseg.types import Segmentation

class Mine:
    def __init__(self, device):
        {made}

    def segment(self, image, answers):
        counts = [len(answer.objects) for answer in answers]
        {given}
"""
WHOLE = "return [Segmentation(np.ones((count, image.height, image.width), bool)) for count in counts]"


@pytest.fixture
def written(tmp_path: Path) -> Write:
    """Writes a file of code and gives its path."""

    def write(code: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text(code)
        return str(path)

    return write


def test_the_segmenter_of_the_contract_segments(written: Write) -> None:
    segmenter = load_segmenter(f"{written(example_in(Segmenter))}:Boxes", device="cpu")
    answer = Answer(Size(10, 10), (ObjectPrompt(Box(1, 1, 3, 3)),))
    nothing, found = segmenter.segment(Image.new("RGB", (20, 10)), [Answer(Size(10, 10)), answer])
    assert nothing.masks.shape == (0, 10, 20)
    expected = np.zeros((1, 10, 20), bool)
    expected[0, 1:3, 2:6] = True
    assert np.array_equal(found.masks, expected)


def test_the_reasoner_of_the_contract_answers(written: Write) -> None:
    reasoner = import_reference(f"{written(example_in(Reasoner))}:Middle")()
    assert isinstance(reasoner, Reasoner)
    prediction = Pipeline(reasoner, FakeSegmenter(), get_format("seg-r1-points")).segment(
        Image.new("RGB", (40, 20)), "the middle"
    )
    assert prediction.mask[10, 20]


def test_the_family_of_the_contract_measures(written: Write) -> None:
    family = family_of("qwen2_5_vl", f"{written(example_in(Family))}:MyFamily")
    assert family.frame_of(None, Size(30, 20)) == Size(100, 100)
    assert family.vision_tokens == FAMILIES["internvl"].vision_tokens


def test_a_function_that_makes_a_segmenter_is_as_good_as_a_class(written: Write) -> None:
    code = (
        SEGMENTER.format(made="self.device = device", given=WHOLE) + "\ndef create(device):\n    return Mine(device)\n"
    )
    assert vars(load_segmenter(f"{written(code)}:create", device="cpu")) == {"device": "cpu"}


@pytest.mark.parametrize(
    ("made", "given", "sentence"),
    [
        ("raise OSError('no weights')", WHOLE, r"cannot be made: OSError: no weights\. It is called with the device"),
        (
            "pass",
            "return [Segmentation(np.ones((count, 3, 3), bool)) for count in counts]",
            r"found an array of .3, 3, 3",
        ),
        ("pass", WHOLE.replace("bool", "np.uint8"), r"(uint8|u8\[3,32,48\])"),
        ("pass", WHOLE + "[1:]", r"one Segmentation for each answer, found a list of 1"),
        ("pass", WHOLE.replace("Segmentation", ""), r"a list of thinkseg\.types\.Segmentation, found an array of"),
        ("pass", "return [answer.objects[0] for answer in answers]", "tried out.*IndexError"),
        (
            "pass",
            WHOLE.replace(", bool)", ", bool), np.full(count, 7.0)"),
            r"scores are 3 numbers from 0 to 1, .* found an array of \(3,\) of float64",
        ),
    ],
)
def test_a_segmenter_that_breaks_the_contract_is_refused_when_it_is_loaded(
    made: str, given: str, sentence: str, written: Write
) -> None:
    with pytest.raises(InputError, match=rf"the segmenter '.*mine\.py:Mine' .*{sentence}"):
        load_segmenter(f"{written(SEGMENTER.format(made=made, given=given))}:Mine", device="cpu")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("return [self.segment(image, answers) for image, answers in asked]", None),
        ("return [[Segmentation(~own.masks) for own in self.segment(*one)] for one in asked]", "has other masks in"),
        ("return self.segment(*asked[0])", "segment_images gives a list with one list for each image, found a list of"),
        ("return [[]]", "segment_images gives a list with one Segmentation for each answer, found a list of 0"),
        ("return asked.nothing", "fails where it is tried out.*AttributeError"),
    ],
)
def test_one_that_takes_several_images_has_the_masks_of_each_alone(
    given: str, sentence: str | None, written: Write
) -> None:
    """Training asks one method and an evaluation the other, so that one that a class forgets would go unseen."""
    code = SEGMENTER.format(made="pass", given=WHOLE) + f"\n    def segment_images(self, asked):\n        {given}\n"
    reference = f"{written(code)}:Mine"
    if sentence is None:
        load_segmenter(reference, device="cpu")
        return
    with pytest.raises(InputError, match=sentence):
        load_segmenter(reference, device="cpu")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("Mine = 3", "a class or a function that is called with the device, found 3"),
        ("class Mine:\n    def __init__(self, device): ...", r"lacks segment\(image, answers\)"),
        ("class Mine: ...", r"cannot be made: TypeError.*called with the device, here 'cpu'"),
    ],
)
def test_what_is_no_segmenter_is_refused(code: str, sentence: str, written: Write) -> None:
    with pytest.raises(InputError, match=sentence):
        load_segmenter(f"{written(code)}:Mine", device="cpu")


def test_the_name_of_a_segmenter_that_does_not_exist_is_answered_with_all_that_could_be_meant() -> None:
    with pytest.raises(
        CheckpointError, match=r"no segmenter folder 'grabcat', .*'pocket', 'grabcut', a hub id.*FILE\.py"
    ):
        load_segmenter("grabcat")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            "class Mine: ...",
            r"a family of models at '.*mine\.py:Mine', a subclass .* found the class 'Mine'",
        ),
        ("Mine = 'qwen3_vl'", "or an object of one, found 'qwen3_vl'"),
        ("class Mine(Family):\n    def __init__(self, a): ...", "should be made without arguments"),
        ("class Mine(Family):\n    frame_rule = 'relative-1000'", "'frame_rule' .* should be a FrameRule, found 'rel"),
        ("class Mine(Family):\n    vision_tokens = 'image_token_id'", "'vision_tokens' .* should be a tuple of names"),
        (
            "class Mine(Family):\n    lora_targets = '('",
            r"'lora_targets' .* should be a regular expression, found '\('",
        ),
    ],
)
def test_a_family_that_breaks_the_contract_is_refused(body: str, sentence: str, written: Write) -> None:
    with pytest.raises(InputError, match=sentence):
        family_of("qwen2_vl", f"{written('from thinkseg.models.families import Family' + chr(10) + body)}:Mine")


def test_an_object_of_a_family_is_as_good_as_its_class(written: Write) -> None:
    code = "from thinkseg.models.families import FAMILIES\nMine = FAMILIES['qwen2_5_vl']\n"
    assert family_of("llava", f"{written(code)}:Mine") is FAMILIES["qwen2_5_vl"]


def test_a_frame_that_takes_other_arguments_is_refused_when_the_family_is_loaded(written: Write) -> None:
    code = "from thinkseg.models.families import Family\nclass Mine(Family):\n    def frame_of(self, size): ...\n"
    with pytest.raises(
        InputError, match=r"'frame_of' of the family '.*:Mine' should be a function of .self, processor"
    ):
        family_of("qwen2_vl", f"{written(code)}:Mine")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("1 / 0", "fails for an image of 30×20: ZeroDivisionError: division by zero"),
        ("None", "should give a thinkseg.types.Size, such as .*, found None"),
        ("(100, 100)", "should give a thinkseg.types.Size, such as .*, found a value of the kind 'tuple'"),
    ],
)
def test_a_frame_that_breaks_the_contract_is_told_in_a_sentence(given: str, sentence: str, written: Write) -> None:
    code = (
        "from thinkseg.models.families import Family\nclass Mine(Family):\n    def frame_of(self, processor, size):\n"
    )
    family = family_of("qwen2_vl", f"{written(code + f'        return {given}')}:Mine")
    with pytest.raises(InputError, match=f"'frame_of' of the family 'Mine' {sentence}"):
        frame_by_family(family, None, Size(30, 20))
