"""Which instructions the published systems were trained and evaluated with: where their sentences stand, and hashes.

The sentences are their authors' and are not here. A record says in which repository, at which commit, in which file and
at which place of it they are, and the SHA-256 of the file and of the sentences; `thinkseg instruction` fetches them
when a user asks (`thinkseg.models.published.store`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from thinkseg.models.published.extraction import QUERY, Place
from thinkseg.types import Instruction


@dataclass(frozen=True, slots=True)
class Commit:
    """A state of a repository of GitHub."""

    repository: str
    """``owner/name``."""
    revision: str
    """The commit, 40 hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class PublishedInstruction:
    """One instruction of a published system, by where it stands."""

    name: str
    """``system/use``."""
    use: str
    """What its authors asked with it, in a few words."""
    commit: Commit
    user: Place | None
    """Of the user's text; None where that is the query alone."""
    system: Place | None
    """Of the system message; None where there is none."""
    files: Mapping[str, str]
    """The SHA-256 of each file, by its path in the repository."""
    sha256: str
    """Of the sentences, see `digest`."""
    marks: Mapping[str, str | Place] = field(default_factory=dict)
    """What takes the place of a mark in the user's text: the place of the query, or a string from elsewhere."""
    stripped: str | None = None
    """The query is put in lower case and loses these characters at its ends; None leaves it as it is."""
    image_last: bool = False
    """Whether the image came after the text; ours always comes before it."""


def digest(instruction: Instruction) -> str:
    """The SHA-256 of sentences: of ``{"system": …, "user": …}`` as JSON in UTF-8, in this order, non-ASCII escaped."""
    told = json.dumps({"system": instruction.system, "user": instruction.user})
    return hashlib.sha256(told.encode()).hexdigest()


SEG_R1 = Commit("geshang777/Seg-R1", "ca1256fae478fcf89cbcbfdfd8caef105d285bce")
SEG_ZERO = Commit("dvlab-research/Seg-Zero", "42a33455283ba041a3099cf154a708116f300cec")
SEG_ZERO_SINGLE = Commit("dvlab-research/Seg-Zero", "77f9ea5887ec7e6abf398ed3cb483c65631c82b7")
"""The last state that trained answers of one object."""
VISION_REASONER = Commit("dvlab-research/VisionReasoner", "a455092a8d57d96f5d6e77597fb5a8741b8f3880")

_SFT = "seg-r1/src/open_r1/sft.py"
_RL = "seg-r1/src/open_r1/grpo.py"
_PRE_RL = "seg-r1/src/open_r1/grpo_prerl.py"
_FOREGROUND = "eval/eval_foreground_segmentation.py"
_REFERRING = "eval/eval_referring_segmentation.py"
_REASONING = "eval/eval_reasoning_segmentation.py"
_REASONSEG = "eval/datasets/ReasonSeg_Dataset.py"
_DEMO = "demo/seg_r1_web_demo.py"
_ROWS = "verl/utils/rl_dataset.py"
_CONFIG = "verl/trainer/config.py"
_ONE = "evaluation_scripts/evaluation.py"
_ONE_BY_HAND = "inference_scripts/infer.py"
_SEVERAL = "evaluation_scripts/evaluation_visionreasoner.py"
_SEVERAL_BY_HAND = "inference_scripts/infer_multi_object.py"
_MODEL = "vision_reasoner/models/vision_reasoner_model.py"
_QUESTION = {"{Question}": QUERY}


def _question(path: str, scope: str, answer: int = 0) -> Mapping[str, str | Place]:
    return {**_QUESTION, "{Answer}": Place(path, scope, "argument", "Answer", answer)}


INSTRUCTIONS: Mapping[str, PublishedInstruction] = {
    one.name: one
    for one in (
        PublishedInstruction(
            name="seg-r1/sft",
            use="imitation; the data have the user's text",
            commit=SEG_R1,
            user=None,
            system=Place(_SFT, "convert_example", "variable", "SYSTEM_PROMPT"),
            files={_SFT: "fada2e064513dbbe19c37511d9b44ccbceb44c6c90a874f1a6a32214d0c1dfc6"},
            sha256="0cbdc4a7b0524b0cddbbb6998943ebd475656fea3ce055120ca74d0cd9a69cc6",
            image_last=True,
        ),
        PublishedInstruction(
            name="seg-r1/pre-rl",
            use="pre-RL: points alone, no query",
            commit=SEG_R1,
            user=Place(_PRE_RL, "create_conversation", "text"),
            system=None,
            files={_PRE_RL: "f1c199215cb599e7589cbb2c3a472f57911cdf0da6bbc88646d5054bdbf0b503"},
            sha256="c7c55dae07917b858704a72fd25f5dc86a0622b3580caf7065f8426584c17ae7",
        ),
        PublishedInstruction(
            name="seg-r1/rl",
            use="RL: all primary objects, no query",
            commit=SEG_R1,
            user=Place(_RL, "create_conversation", "text", index=1),
            system=Place(_RL, "create_conversation", "variable", "SYSTEM_PROMPT"),
            files={_RL: "349d548317d357e74b88fae28330d87ec438daa5655f953c739a20b76ed59f0d"},
            sha256="fbb4c4563f2decd6836b6960e1c93a00172ec180db411b82303c450bf18b7e5e",
        ),
        PublishedInstruction(
            name="seg-r1/foreground",
            use="evaluation of foreground data sets, no query",
            commit=SEG_R1,
            user=Place(_FOREGROUND, "prepare_test_messages", "text", index=1),
            system=Place(_FOREGROUND, "prepare_test_messages", "variable", "SYSTEM_PROMPT"),
            files={_FOREGROUND: "dca79951ef47c32977aadb198d153e0b0bcfc22016ce4505497d06c87082ec40"},
            sha256="3ee945e9e2962852a534a17e8e11fc5b65282f297edd20efe8803f3b47a7a667",
        ),
        PublishedInstruction(
            name="seg-r1/referring",
            use="evaluation of RefCOCO, +, g",
            commit=SEG_R1,
            user=Place(_REFERRING, "prepare_message", "text", index=1),
            system=Place(_REFERRING, "prepare_message", "variable", "sys"),
            files={_REFERRING: "f2f967c39fb6d4e9b8fe4167f2396a731fb0ce29cbf0742e9f02ea2954d8fc61"},
            sha256="50d18e3237ebf06db5a87831da5d87328c555c4471e57ed42a2705af7a6fefe4",
        ),
        PublishedInstruction(
            name="seg-r1/sentence",
            use="evaluation of ReasonSeg, queries that are sentences",
            commit=SEG_R1,
            user=Place(_REASONSEG, "", "variable", "LONG_QUESTION_LIST"),
            system=Place(_REASONING, "prepare_message", "variable", "sys"),
            files={
                _REASONSEG: "4917828402137bf3d9dbac6a378c18f9e69237fddb55a4f3af88da9fc463c9d7",
                _REASONING: "4fd49de4de0b1ba9fc050fb817affc0ca4dd18689fd0fcb14c16fc14aa114f60",
            },
            sha256="5d7a149b17760b0e4e1ba57acddabdd9e0ee94a5014f51744f8cdc02722cd491",
            marks={"{sent}": QUERY},
        ),
        PublishedInstruction(
            name="seg-r1/phrase",
            use="evaluation of ReasonSeg, queries that are phrases",
            commit=SEG_R1,
            user=Place(_REASONSEG, "", "variable", "SHORT_QUESTION_LIST"),
            system=Place(_REASONING, "prepare_message", "variable", "sys"),
            files={
                _REASONSEG: "4917828402137bf3d9dbac6a378c18f9e69237fddb55a4f3af88da9fc463c9d7",
                _REASONING: "4fd49de4de0b1ba9fc050fb817affc0ca4dd18689fd0fcb14c16fc14aa114f60",
            },
            sha256="037e28926a3c7109c39598c2ff4935d03747f5226d44238417b4637e0ed9dec7",
            marks={"{class_name}": QUERY},
            stripped="",
        ),
        PublishedInstruction(
            name="seg-r1/demo",
            use="the demo, for requests with 'segment' or 'mask' in them; the user's text is the query",
            commit=SEG_R1,
            user=None,
            system=Place(_DEMO, "prepare_test_messages", "variable", "SYSTEM_PROMPT"),
            files={_DEMO: "60f3c36dbe5859755f9e6012b6253e5071de6155b5168c39dff032657fd855a1"},
            sha256="87adfaac721cec98119822f1131702f41a249b1a698b0fcc797ba6227592ba1f",
        ),
        PublishedInstruction(
            name="seg-zero/training",
            use="training",
            commit=SEG_ZERO_SINGLE,
            user=Place(_ROWS, "RLHFDataset.__init__", "variable", "self.user_prompt"),
            system=Place(_CONFIG, "DataConfig", "variable", "system_prompt"),
            files={
                _ROWS: "f6cf66b7662d44a9d5620dd91e933868e66394866b64d7ad984744db7be2ca78",
                _CONFIG: "eb7ab115132bf4b7248b13136a8a428c6d039d4e8c44ddfe3ef89c3382936e26",
            },
            sha256="aa8a12c6fc7ef35bbb3b8201a3fbdb63bee77116991dd6010f65b9a21ee9090c",
            marks={"<image>": "", **_question(_ROWS, "RLHFDataset.__getitem__")},
            stripped=".",
        ),
        PublishedInstruction(
            name="seg-zero/evaluation",
            use="evaluation",
            commit=SEG_ZERO,
            user=Place(_ONE, "main", "variable", "QUESTION_TEMPLATE"),
            system=None,
            files={_ONE: "e501030f6a46bc31e04a42b9cc8c3bcb92aea609b10be205f312bf1850893bb3"},
            sha256="44d2b2839164cb11a0122ad3d8b573e6648c1d8d993caba848c818c3994989ad",
            marks=_question(_ONE, "main"),
            stripped=".",
        ),
        PublishedInstruction(
            name="seg-zero/inference",
            use="single images",
            commit=SEG_ZERO,
            user=Place(_ONE_BY_HAND, "main", "variable", "QUESTION_TEMPLATE"),
            system=None,
            files={_ONE_BY_HAND: "77b7b5c8f3bda0be793c82ffab0d23720c31c6fbaf4154bf1610824051b34575"},
            sha256="44d2b2839164cb11a0122ad3d8b573e6648c1d8d993caba848c818c3994989ad",
            marks=_question(_ONE_BY_HAND, "main"),
            stripped=".",
        ),
        PublishedInstruction(
            name="vision-reasoner/training",
            use="training",
            commit=SEG_ZERO,
            user=Place(_ROWS, "RLHFDataset.__init__", "variable", "self.user_prompt"),
            system=Place(_CONFIG, "DataConfig", "variable", "system_prompt"),
            files={
                _ROWS: "de43b2dfb67db8d40ee1c613d231d9de8f9a1dff93f6bfe25c29a01a7f5721ac",
                _CONFIG: "eb7ab115132bf4b7248b13136a8a428c6d039d4e8c44ddfe3ef89c3382936e26",
            },
            sha256="145aca01d8d96c24e1b7aad9b632df9005e845ab5b337cba3c3fca88413c7061",
            marks={"<image>": "", **_question(_ROWS, "RLHFDataset.__getitem__")},
            stripped=".",
        ),
        PublishedInstruction(
            name="vision-reasoner/evaluation",
            use="evaluation: segmentation, detection and counting alike",
            commit=VISION_REASONER,
            user=Place(_MODEL, "VisionReasonerModel.__init__", "variable", "self.DETECTION_TEMPLATE"),
            system=None,
            files={_MODEL: "cc7e4914982d29e2fcb581d91472f9fcc41904915a67eaefc701e2a73c679a33"},
            sha256="e87b170a703f749c2bc63d62086775f77695aedd929ff386c014590379186ccf",
            marks=_question(_MODEL, "VisionReasonerModel._generate_model_output"),
            stripped='."?!',
        ),
        PublishedInstruction(
            name="vision-reasoner/seg-zero-evaluation",
            use="evaluation in Seg-Zero's repository",
            commit=SEG_ZERO,
            user=Place(_SEVERAL, "main", "variable", "QUESTION_TEMPLATE"),
            system=None,
            files={_SEVERAL: "2f4fc78628040100fe53ecb291da9bcd8ad1d2e18be222d37f896eafdb9aa05e"},
            sha256="e87b170a703f749c2bc63d62086775f77695aedd929ff386c014590379186ccf",
            marks=_question(_SEVERAL, "main"),
            stripped='."?!',
        ),
        PublishedInstruction(
            name="vision-reasoner/inference",
            use="single images, in Seg-Zero's repository",
            commit=SEG_ZERO,
            user=Place(_SEVERAL_BY_HAND, "main", "variable", "QUESTION_TEMPLATE"),
            system=None,
            files={_SEVERAL_BY_HAND: "a7c326f211d8a80ac297f090b0dc962813c9fc1e162f592c0f68cb6e3676023e"},
            sha256="e87b170a703f749c2bc63d62086775f77695aedd929ff386c014590379186ccf",
            marks=_question(_SEVERAL_BY_HAND, "main"),
            stripped=".",
        ),
    )
}
"""The instructions by their names."""

ASKED: Mapping[str, Mapping[str, str]] = {
    "seg-r1": {
        "foreground": "seg-r1/foreground",
        "sentence": "seg-r1/sentence",
        "phrase": "seg-r1/phrase",
        "": "seg-r1/referring",
    },
    "seg-zero": {"": "seg-zero/evaluation"},
    "vision-reasoner": {"": "vision-reasoner/evaluation"},
}
"""By the name of a system and the kind of a request (`thinkseg.models.published.wording.kind_of`), what its authors
asked with in their evaluations; an empty kind is for all others."""
