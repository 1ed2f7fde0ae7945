"""How a checkpoint is prompted: its answer format, the words, its segmenter, its image size. One value holds all of it.

What a caller says comes first, then the `thinkseg.json` in the checkpoint's folder, then the table of published
checkpoints below; `resolve_config` puts them together. A checkpoint that ThinkSeg wrote describes itself; for any
other, use flags, or write the file:

    {"format": "seg-r1", "instruction": {"system": null, "user": "{query}"}, "max_new_tokens": 64}
"""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict

from thinkseg.answers import get_format
from thinkseg.answers.base import AnswerFormat
from thinkseg.errors import CheckpointError, InputError
from thinkseg.extension import described, refuse_reference
from thinkseg.models import loading
from thinkseg.models.engines.service import is_address
from thinkseg.models.published.instructions import ASKED, INSTRUCTIONS
from thinkseg.settings import NAMES_CODE, Count, Pixels, Settings, Side, kind_of
from thinkseg.types import Instruction

CONFIG_FILE = "thinkseg.json"

GRABCUT = "grabcut"
"""The name of the segmenter that needs no weights."""

CanvasFilter = Literal["bicubic", "bilinear"]
Objects = Literal["all", "first with all points"]
Decoding = Literal["greedy", "penalised", "sampled"]
MaskChoice = Literal["single", "best of three"]
Rounding = Literal["half even", "half up"]
EncoderKind = Literal["float32", "bfloat16", "compiled", "compiled bfloat16"]

_ON_CANVAS = ("frame", "canvas", "canvas_filter", "canvas_jpeg", "max_new_tokens", "decoding")
"""Settings by which a protocol asks models that are shown a canvas, and no other ones."""
_NEAR = 0.8
"""How alike a key of a file's own is to a setting's name, by `difflib`, where it is taken for a slip of the pen."""


def _as_instruction(value: object) -> object:
    """A template of sentences, also from the mapping that a file holds."""
    if isinstance(value, Instruction):
        value = dataclasses.asdict(value)
    if isinstance(value, Mapping):
        user, system = value.get("user"), value.get("system")
        if not isinstance(user, str) or not (system is None or isinstance(system, str)):
            raise ValueError(f'should be {{"system": text or null, "user": text}}, found {kind_of(value)}')
        value = Instruction(user, system)
    if isinstance(value, Instruction) and "{query}" not in value.user + (value.system or ""):
        raise ValueError("has no place for the query: write {query} into its text")
    return value


def instruction_from(value: object) -> Instruction | None:
    """The template that a caller gives: an `Instruction`, what a file has under that name, or the user's text alone.

    Raises:
        InputError: it is none of these, or it has no place for the query.
    """
    if not (value is None or isinstance(value, str | Mapping | Instruction)):
        raise InputError(
            f"'instruction' should be an Instruction, or the user's text with {{query}} in it, found {described(value)}"
        )
    given = Instruction(value) if isinstance(value, str) else value
    return CheckpointConfig.checked({"instruction": given}).instruction


class CheckpointConfig(Settings):
    """How a checkpoint is asked; None where nothing is said."""

    model_config = ConfigDict(title="thinkseg.json", json_schema_extra={"additionalProperties": True})

    error: ClassVar[type[InputError]] = CheckpointError

    format: Annotated[str, NAMES_CODE] | None = None
    """Name of its answer format."""
    family: Annotated[str, NAMES_CODE] | None = None
    """Family of models to which it belongs, a name in `thinkseg.models.families`; null for that of its model_type."""
    tolerant: bool | None = None
    """Whether answers in JSON are read as models that were never tuned write them, too."""
    instruction: Annotated[Instruction | None, BeforeValidator(_as_instruction)] = None
    """The sentences that it is asked with, a template with {query}; null for the format's own."""
    sentences: str | None = None
    """Name of the published instruction that it was trained with, as `thinkseg instruction` lists them: used where it
    was fetched and `instruction` is not given."""
    sentence_instruction: Annotated[Instruction | None, BeforeValidator(_as_instruction)] = None
    """Other ones for a query that is a whole sentence, as ReasonSeg's `is_sentence` says; null for the same ones."""
    stripped: str | None = None
    """Queries are put in lower case and lose these characters at their ends ("" for none); null leaves them."""
    max_new_tokens: Count | None = None
    """Length limit of a completion, in tokens."""
    decoding: Decoding | None = None
    """How its text is decoded: `greedy` without any penalty, `penalised` is greedy with the repetition penalty of its
    `generation_config.json`, and `sampled` does all that this file says; null for `greedy`."""
    segmenter: Annotated[str, NAMES_CODE] | None = None
    """The segmenter that it was trained with; the address of a service counts only where a caller says it."""
    masks: MaskChoice | None = None
    """What of the segmenter is taken for an object: its `single` mask, or the `best of three` by its own score; null is
    `single`."""
    objects: Objects | None = None
    """Which objects of an answer the segmenter is shown: `all`, or the `first with all points` of the answer, those of
    other objects too, as Seg-R1's evaluation of ReasonSeg does; null for `all`."""
    whole_pixels: Rounding | None = None
    """Boxes and points are rounded to whole pixels of the image before they reach the segmenter, a half to the even
    number (`half even`) or upwards (`half up`); null leaves them."""
    segmenter_canvas: Side | None = None
    """Pixels a side of the square that the segmenter is shown, stretched bilinearly as the masks are back; null shows
    it the image."""
    segmenter_bgr: bool | None = None
    """Whether the segmenter is shown the image with red and blue exchanged, as Seg-R1's training and evaluations do."""
    segmenter_encoder: EncoderKind | None = None
    """How the segmenter encodes images: in `float32`, in `bfloat16` (for GPUs; masks differ in a few pixels),
    `compiled` by `torch.compile`, or `compiled bfloat16`; prompts and masks stay in float32. Null is `float32`."""
    frame: Annotated[str, NAMES_CODE] | None = None
    """Frame rule that overrules its family's."""
    canvas: Side | None = None
    """Pixels a side that every image is stretched to before the processor."""
    canvas_filter: CanvasFilter | None = None
    """The filter that stretches it; null for `bicubic`."""
    canvas_jpeg: bool | None = None
    """Whether it then goes through a JPEG of quality 75 (PIL's own), as in evaluations that send it by HTTP."""
    min_pixels: Pixels | None = None
    """Smallest number of pixels that an image is resized to."""
    max_pixels: Pixels | None = None
    """Largest number of pixels that an image is resized to."""

    def with_defaults(self, other: CheckpointConfig) -> CheckpointConfig:
        """This, with what it leaves open taken from the other one."""
        return CheckpointConfig(**{**other.said(), **self.said()})

    def asked_as(self, settings: CheckpointConfig) -> CheckpointConfig:
        """This checkpoint's settings where other ones take their place.

        Those of the segmenter's prompts and masks always do; canvas, length and decoding do where the checkpoint is
        shown a canvas, since another one is not asked so.
        """
        asked = settings.with_defaults(self)
        return (
            asked if self.canvas is not None else asked.replaced(**{name: getattr(self, name) for name in _ON_CANVAS})
        )

    def answer_format(self) -> AnswerFormat:
        """The answer format, which has to be said."""
        assert self.format is not None
        return get_format(
            self.format,
            self.instruction,
            tolerant=bool(self.tolerant),
            sentence_template=self.sentence_instruction,
            stripped=self.stripped,
        )

    def said(self) -> dict[str, Any]:
        """What is said, by name."""
        return {name: value for name, value in self if value is not None}

    def as_json(self) -> dict[str, Any]:
        """What is said, as `thinkseg.json` holds it."""
        return {name: value for name, value in self.model_dump(mode="json").items() if value is not None}


_SAM2 = "facebook/sam2-hiera-large"
_SAM2_1 = "facebook/sam2.1-hiera-large"

_SEG_R1 = CheckpointConfig(
    format="seg-r1",
    sentences="seg-r1",
    max_new_tokens=400,
    segmenter=_SAM2_1,
    masks="single",
    frame="canvas",
    canvas=768,
    canvas_filter="bilinear",
)
_SEG_ZERO = CheckpointConfig(
    format="seg-zero",
    sentences="seg-zero",
    max_new_tokens=1300,
    stripped=".",
    segmenter=_SAM2,
    masks="best of three",
    whole_pixels="half even",
    frame="canvas",
    canvas=840,
    canvas_filter="bilinear",
)

KNOWN: Mapping[str, CheckpointConfig] = {
    "geshang/Seg-R1-3B": _SEG_R1,
    "geshang/Seg-R1-7B": _SEG_R1,
    "Ricky06662/Seg-Zero-7B": _SEG_ZERO,
    "Ricky06662/VisionReasoner-7B": _SEG_ZERO.replaced(
        format="vision-reasoner",
        sentences="vision-reasoner",
        max_new_tokens=2000,
        stripped='."?!',
        whole_pixels="half up",
    ),
}
"""Published checkpoints by hub id: the sizes, filters and lengths that they were trained with, the squares in which
they were taught to measure, and the masks that their authors take; docs/models.md says where each is from."""


def resolve_config(
    model: str | Path, given: CheckpointConfig | None = None, *, source: str | None = None, at_hand: bool = True
) -> CheckpointConfig:
    """All that is known about how a checkpoint is prompted: everybody who loads one goes by this.

    Args:
        model: as the caller calls it: ``"pocket"``, a folder or a hub id; the table goes by it.
        given: what the caller says, which wins.
        source: where its `thinkseg.json` is, a folder or a hub id; None for where the model is.
        at_hand: whether it is here or on the hub; one that a server alone has is known by the table and the caller.

    Raises:
        CheckpointError: there is no such checkpoint, or its `thinkseg.json` cannot be read or names code that the
            caller has not named.
    """
    given = given or CheckpointConfig()
    found = CheckpointConfig()
    if at_hand:
        found = read_config(loading.locate(model, "reasoner") if source is None else source)
    for name, code in found.references().items():
        if getattr(given, name) is None:
            again = f"say --{name} {code}, or '{name}' in the recipe or the call"
            refuse_reference(code, f"the {CONFIG_FILE} of '{model}'", CheckpointError, again)
    if is_address(found.segmenter) and given.segmenter is None:
        raise CheckpointError(
            f"the {CONFIG_FILE} of '{model}' names the segmenter at '{found.segmenter}', and a server is asked only "
            f"when you name it yourself: say --segmenter {found.segmenter}, or another one"
        )
    known = found.with_defaults(KNOWN.get(str(model), CheckpointConfig()))
    if given.format not in (None, known.format):
        # Another format has other sentences and other lengths.
        known = known.replaced(
            tolerant=None, instruction=None, sentence_instruction=None, sentences=None, max_new_tokens=None
        )
    if given.sentences is not None:
        known = known.replaced(instruction=None, sentence_instruction=None)
    return given.with_defaults(known)


def told_instruction(value: object) -> dict[str, Any]:
    """The setting that an instruction is: the name of a published one, or sentences as `instruction_from` takes them.

    Raises:
        InputError: it is none of these, or it has no place for the query.
    """
    if isinstance(value, str) and (value in ASKED or value in INSTRUCTIONS):
        return {"sentences": value}
    return {"instruction": instruction_from(value)}


def read_config(source: str | Path) -> CheckpointConfig:
    """What a checkpoint's `thinkseg.json` says; nothing where there is no such file.

    Other keys in it are its own, unless they are so near a setting's name that they are slips of the pen.

    Raises:
        CheckpointError: the file is not JSON, a value is of the wrong kind, or a setting's name is misspelt.
    """
    path = Path(source) / CONFIG_FILE if Path(source).is_dir() else _from_hub(str(source))
    if path is None or not path.is_file():
        return CheckpointConfig()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"'{path}' is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"'{path}' has to hold an object of settings, found {type(content).__name__}")
    fields = list(CheckpointConfig.model_fields)
    own = {name: value for name, value in content.items() if name in fields}
    for name in content:
        near = [] if name in own else difflib.get_close_matches(name.lower(), fields, n=1, cutoff=_NEAR)
        if near:
            raise CheckpointError(
                f"there is no setting '{name}' in '{path}'; did you mean '{near[0]}'? A key of your own needs a name "
                "that is not so near one of the settings'"
            )
    return CheckpointConfig.checked(own, f" in '{path}'")


def read_instruction(path: Path | str) -> Instruction:
    """The sentences in a file: JSON as under "instruction" in a `thinkseg.json`, or the user's text alone.

    Raises:
        CheckpointError: there is no such file, it is not text, or it has no place for the query.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"expected a text file with an instruction at '{path}', found none ({error})") from error
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = {"user": text.strip()}
    if not isinstance(value, dict):
        raise CheckpointError(f"'{path}' has to hold text, or an object with 'user' and 'system'")
    config = CheckpointConfig.checked({"instruction": value}, f" in '{path}'")
    assert config.instruction is not None
    return config.instruction


def write_config(config: CheckpointConfig, folder: Path) -> None:
    """Write how a checkpoint is prompted into its folder, as `thinkseg.json`."""
    (folder / CONFIG_FILE).write_text(json.dumps(config.as_json(), indent=2) + "\n", encoding="utf-8")


def _from_hub(hub_id: str) -> Path | None:
    """The settings file of a hub checkpoint, in the local cache; None when it has none or the hub is out of reach."""
    from transformers.utils import cached_file

    try:
        found = cached_file(hub_id, CONFIG_FILE)
    except OSError:
        # Most checkpoints have no such file; an unreachable hub is reported when the model itself is loaded.
        return None
    return None if found is None else Path(found)
