"""Published checkpoints are asked in their authors' sentences where these are at hand, and say where they are not."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import thinkseg
from thinkseg.errors import InputError
from thinkseg.evaluation.plan import EvaluatedModel, EvaluationPlan
from thinkseg.models.checkpoint_config import CheckpointConfig, told_instruction
from thinkseg.models.pipeline import load_pipeline
from thinkseg.models.published.store import InstructionStore
from thinkseg.models.published.wording import Wording, identity_of, wording_for
from thinkseg.models.reasoner import chat_messages
from thinkseg.testing.published_sentences import stand_in_store, write_repository
from thinkseg.types import Instruction, Sample

ONE = "Look well. Café in, box out."


@pytest.fixture
def store(tmp_path: Path) -> InstructionStore:
    """With all of the stand-in's sentences."""
    store, clone = stand_in_store(tmp_path / "cache"), write_repository(tmp_path / "clone")
    for name in store.known:
        store.take(name, clone)
    return store


def sample(query: str, task: str = "", is_sentence: bool = False) -> Sample:
    return Sample("a", Image.new("RGB", (8, 8)), query, task=task, is_sentence=is_sentence)


def config(**settings: object) -> CheckpointConfig:
    return CheckpointConfig(**{"format": "seg-r1", "sentences": "pointer"} | settings)


def test_each_kind_of_request_has_its_own_sentences(store: InstructionStore) -> None:
    wording = wording_for("m", config(), store)
    assert wording.instruction(sample("the Dog")) == Instruction("Point at the Dog!", ONE)
    for task in ("salient", "camouflaged", "dichotomous"):
        asked = wording.instruction(sample("all of it", task))
        assert asked == Instruction("\nAll that stands out.\n", "Look well, all of it times.")
    assert wording.instruction(sample("the dog", "reasoning", is_sentence=True)).user == "Point at the dog!"


def test_sentences_and_phrases_are_told_apart_where_the_data_say_which(store: InstructionStore) -> None:
    kinds = {"sentence": "pointer/one", "phrase": "pointer/training", "": "pointer/all"}
    told = InstructionStore(store.folder, store.known, {"pointer": kinds})
    wording = wording_for("m", config(), told)
    assert wording.instruction(sample("Which Dog?", "reasoning", True)).user == "Point at Which Dog?!"
    assert wording.instruction(sample("A Dog.", "reasoning", False)).user == (
        "Where is 'a dog'? Answer like {'box': [1, 2]}"
    )
    assert wording.instruction(sample("A Dog.", "referring")).user == "\nAll that stands out.\n"


def test_a_query_is_put_in_lower_case_and_stripped_where_training_did_so(store: InstructionStore) -> None:
    wording = wording_for("m", config(sentences="pointer/training"), store)
    assert "'the dog'" in wording.instruction(sample("The Dog.")).user
    assert "'.'" in wording.instruction(sample(".")).user
    both = wording_for("m", config(stripped="?"), store)
    assert both.instruction(sample("Which Dog?")).user == "Point at which dog!"
    own = wording_for("m", config(sentences=None, stripped="."), store)
    assert "the dog" in own.instruction(sample("The DOG.")).user
    assert "DOG" not in own.instruction(sample("The DOG.")).user


def test_a_query_cannot_bring_placeholders_in(store: InstructionStore) -> None:
    asked = wording_for("m", config(), store).instruction(sample("{query} {example}"))
    assert asked.user == "Point at {query} {example}!"


def test_the_system_message_comes_first_and_the_image_before_the_text(store: InstructionStore) -> None:
    messages = chat_messages(wording_for("m", config(), store).instruction(sample("it")))
    assert [message["role"] for message in messages] == ["system", "user"]
    assert messages[0]["content"] == [{"type": "text", "text": ONE}]
    assert messages[1]["content"] == [{"type": "image"}, {"type": "text", "text": "Point at it!"}]


def test_without_them_it_asks_in_its_own_words_and_says_so_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    wording = wording_for("someone/model", config(), stand_in_store(tmp_path))
    assert wording.instruction(sample("it")) == config().answer_format().instruction("it")
    assert wording.identity == ""
    assert [record.getMessage() for record in caplog.records] == [
        "'someone/model' was trained with other sentences than it is asked with; fetch its authors' with: thinkseg "
        "instruction pointer"
    ]
    monkeypatch.setenv("LOCAL_RANK", "3")
    wording_for("someone/model", config(), stand_in_store(tmp_path))
    assert len(caplog.records) == 1


def test_some_of_a_system_are_not_enough(store: InstructionStore) -> None:
    store.path("pointer/all").unlink()
    assert wording_for("m", config(), store).identity == ""


def test_what_is_asked_for_by_name_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'pointer' is asked for and is not at hand; fetch it with: thinkseg instr"):
        wording_for("m", config(), stand_in_store(tmp_path), required=True)
    with pytest.raises(InputError, match="there is no published instruction 'needle'"):
        wording_for("m", config(sentences="needle"), stand_in_store(tmp_path))


def test_sentences_of_ones_own_come_first(store: InstructionStore) -> None:
    own = config(instruction=Instruction("My {query}"))
    wording = wording_for("m", own, store)
    assert (wording.instruction(sample("it")).user, wording.identity, identity_of(own, store)) == ("My it", "", "")


def test_the_identity_tells_other_sentences_apart(store: InstructionStore) -> None:
    both, one = (identity_of(config(sentences=name), store) for name in ("pointer", "pointer/one"))
    assert both.startswith("pointer ")
    assert one.startswith("pointer/one ")
    assert both.split()[1] != one.split()[1]
    assert wording_for("m", config(), store).identity == both


def test_a_run_says_which_instruction_was_asked(store: InstructionStore, tmp_path: Path) -> None:
    def load(model: str, **options: object) -> object:
        return load_pipeline(model, "grabcut", config().replaced(max_new_tokens=4), device="cpu", store=store)

    from thinkseg.evaluation.job import run_plan

    target = np.zeros((48, 64), dtype=bool)
    target[10:30, 10:40] = True
    samples = [Sample("red", Image.new("RGB", (64, 48), "red"), "the red square", target)]
    plan = EvaluationPlan([samples], EvaluatedModel("pocket", load=load), tmp_path / "run", progress=False)
    (done,) = run_plan(plan)
    assert done.run.header.instruction == identity_of(config(), store)
    assert done.report is not None
    assert done.report["settings"]["instruction"] == done.run.header.instruction
    assert thinkseg.Run.open(tmp_path / "run").header.instruction.startswith("pointer ")


def test_a_name_or_sentences_are_told_apart_in_python() -> None:
    assert told_instruction("seg-r1") == {"sentences": "seg-r1"}
    assert told_instruction(None) == {"instruction": None}
    assert isinstance(Wording(config().answer_format()).instruction(sample("it")), Instruction)
