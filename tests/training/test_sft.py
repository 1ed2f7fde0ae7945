"""Imitation learns the answer and the end of the turn: not the prompt, and nothing that dangles behind."""

import json
import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoTokenizer, TrainerControl, TrainerState, TrainingArguments

from thinkseg import testing
from thinkseg.answers import get_format
from thinkseg.data.readers.demonstrations import load_worked
from thinkseg.errors import RecipeError
from thinkseg.geometry import reference_answer
from thinkseg.models.reasoner import TransformersReasoner, chat_messages
from thinkseg.training.callbacks import read_log
from thinkseg.training.config import recipe_from_settings
from thinkseg.training.policy import add_tokens
from thinkseg.training.rows import RowBuilder, Rows, Schedule
from thinkseg.training.runs import TrainingStopped
from thinkseg.training.sft import IGNORED, ImitationCollator, TokenCount
from thinkseg.training.stages import train_recipe
from thinkseg.types import Answer, Instruction, Sample, Size

from .conftest import square, written_settings

FORMAT = get_format("seg-r1", Instruction("Where is {query}?", "Look."))


@pytest.fixture
def samples():
    """Of different shapes and answers of different lengths, one of them "nothing there"."""
    nothing = Answer(Size(90, 60), think="there is no such thing, as far as can be seen")
    empty = Sample("none", Image.new("RGB", (90, 60)), "a unicorn", np.zeros((60, 90), bool), reference=nothing)
    return [square(1), empty, square(2, size=120)]


def collated(reasoner, samples):
    builder = RowBuilder(samples, Schedule(len(samples), shuffle=False), FORMAT, reasoner, with_answers=True)
    rows = Rows(builder, len(samples)).__getitems__(list(range(len(samples))))
    return rows, ImitationCollator(reasoner.processor)(rows)


def learnt(tokenizer, labels):
    return tokenizer.decode([token for token in labels.tolist() if token != IGNORED])


def to_learn(answer):
    """An answer and the end of its turn, but not that thinking which is not known ends at once."""
    return answer.replace("<think></think>", "<think>") + "<|im_end|>"


def test_what_is_learnt_is_the_answer_and_the_end_of_the_turn_and_nothing_else(reasoner, samples):
    """Defect 9: the prompt was learnt, too, and a header of a turn that never comes."""
    rows, batch = collated(reasoner, samples)
    for row, labels in zip(rows, batch["labels"], strict=True):
        assert learnt(reasoner.processor.tokenizer, labels) == to_learn(row["answer"])


def test_masks_say_nothing_of_thinking_so_that_none_is_not_learnt(reasoner):
    """Imitation of bare masks taught `<think></think>`, after which a model thought no more."""
    bare = square(1)
    assert bare.reference is None
    worked = replace(bare, id="worked", reference=reference_answer(bare.target, think="on the left"))
    (alone, told), batch = collated(reasoner, [bare, worked])
    tokenizer = reasoner.processor.tokenizer
    assert alone["answer"].startswith("<think></think><bbox>")
    texts = [learnt(tokenizer, labels) for labels in batch["labels"]]
    assert texts[0].startswith("<think><bbox>")
    assert "</think>" not in texts[0]
    assert texts[1] == told["answer"] + "<|im_end|>"


def test_labels_are_the_tokens_at_their_places(reasoner, samples):
    _, batch = collated(reasoner, samples)
    known = batch["labels"] != IGNORED
    assert torch.equal(batch["labels"][known], batch["input_ids"][known])
    assert batch["attention_mask"][known].all()


def test_a_tokenizer_whose_padding_is_its_end_of_turn_keeps_the_stop(samples):
    model, processor = testing.tiny_qwen2_5_vl()
    processor.tokenizer.pad_token = processor.tokenizer.eos_token
    rows, batch = collated(TransformersReasoner(model, processor), samples)
    for row, labels in zip(rows, batch["labels"], strict=True):
        assert learnt(processor.tokenizer, labels) == to_learn(row["answer"])


def test_the_prompt_is_token_for_token_the_one_of_rollouts_and_of_use(reasoner, samples):
    """Defect 9: text and image came in another order than in reinforcement."""
    rows, batch = collated(reasoner, samples)
    processor = reasoner.processor
    for number, (sample, row) in enumerate(zip(samples, rows, strict=True)):
        messages = chat_messages(FORMAT.instruction(sample.query))
        text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        expected = processor(images=[[sample.image]], text=[text], return_tensors="pt")["input_ids"][0]
        used = batch["attention_mask"][number].bool()
        prompt = batch["input_ids"][number][used][: len(expected)]
        assert torch.equal(prompt, expected)
        assert (batch["labels"][number][used][: len(expected)] == IGNORED).all()
        assert row["prompt"] == messages


def test_every_image_has_all_its_tokens(reasoner, samples):
    _, batch = collated(reasoner, samples)
    image_token = reasoner.model.config.image_token_id
    assert (batch["input_ids"] == image_token).sum() == batch["image_grid_thw"].prod(-1).sum() // 4
    assert torch.equal(batch["mm_token_type_ids"] == 1, batch["input_ids"] == image_token)


def test_padding_a_batch_does_not_change_its_rows(reasoner, samples):
    _, together = collated(reasoner, samples)
    model = reasoner.model
    with torch.no_grad():
        logits = model(**{key: value for key, value in together.items() if key != "labels"}).logits
        for number, sample in enumerate(samples):
            _, alone = collated(reasoner, [sample])
            own = model(**{key: value for key, value in alone.items() if key != "labels"}).logits[0]
            used = together["attention_mask"][number].bool()
            torch.testing.assert_close(logits[number][used], own, rtol=1e-3, atol=1e-3)


@pytest.fixture
def recipe(start, tmp_path):
    settings = {
        "stage": "sft",
        "output": str(tmp_path / "run"),
        "model": {"path": str(start)},
        "steps": 6,
        "device": "cpu",
        "trl": {"per_device_train_batch_size": 2, "learning_rate": 1e-2, "lr_scheduler_type": "constant"},
    }
    return recipe_from_settings(settings)


def test_imitation_lowers_the_loss_and_saves_what_use_and_rl_start_from(recipe, start):
    told = []
    final = train_recipe(recipe, samples=[square(1), square(2)], on_step=lambda *step: told.append(step))
    records = read_log(recipe.output / "log.jsonl")
    assert [step for step, _, _ in told] == [record["step"] for record in records] == list(range(1, 7))
    assert records[-1]["loss"] < 0.8 * records[0]["loss"]
    assert 0 <= records[-1]["mean_token_accuracy"] <= 1
    assert written_settings(final) == written_settings(start)
    before, after = load_file(start / "model.safetensors"), load_file(final / "model.safetensors")
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_a_worked_answer_is_learnt_word_for_word_and_nothing_of_the_prompt(reasoner, tmp_path):
    Image.new("RGB", (56, 56)).save(tmp_path / "a.png")
    tags = "<bbox>[8,8,40,40]</bbox><points>[[20,20]]</points><labels>[1]</labels>"
    row = {"problem": "the dog", "thinking": "It lies there.", "solution": tags, "image": "a.png"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    _, batch = collated(reasoner, load_worked(tmp_path))
    expected = f"<think>It lies there.</think>{tags}<|im_end|>"
    assert learnt(reasoner.processor.tokenizer, batch["labels"][0]) == expected


def test_texts_become_tokens_of_their_own_that_are_saved_and_not_added_twice(recipe, tmp_path):
    texts = {"<answer>[": "<bbox>[", "]</answer>": "]"}
    first = recipe.replaced(model=recipe.model.replaced(new_tokens=texts), steps=1)
    final = train_recipe(first, samples=[square(1), square(2)])
    tokenizer = AutoTokenizer.from_pretrained(final)
    ids = tokenizer("<answer>[]</answer>")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == list(texts)
    model = load_file(final / "model.safetensors")
    assert model["model.embed_tokens.weight"].shape[0] >= len(tokenizer)
    again = first.model.replaced(path=str(final))
    second = train_recipe(first.replaced(model=again, output=tmp_path / "again"), samples=[square(1), square(2)])
    assert len(AutoTokenizer.from_pretrained(second)) == len(tokenizer)


def test_imitation_can_keep_a_share_of_its_start(sft_recipe, start, tmp_path):
    whole, mixed = (
        load_file(
            train_recipe(
                sft_recipe(output=str(tmp_path / f"run-{share}"), start_share=share), samples=[square(1), square(2)]
            )
            / "model.safetensors"
        )
        for share in (0.0, 0.25)
    )
    before = load_file(start / "model.safetensors")
    assert any(not torch.equal(before[name], weight) for name, weight in whole.items())
    for name, weight in mixed.items():
        torch.testing.assert_close(weight, 0.25 * before[name] + 0.75 * whole[name], msg=name)


def test_new_tokens_have_no_start_to_be_mixed_with(sft_recipe, start, tmp_path):
    model = {"path": str(start), "new_tokens": {"]}": "ab"}}
    with pytest.raises(RecipeError, match="has none for the new token ']}': train the tokens in a stage of their own"):
        train_recipe(sft_recipe(model=model, start_share=0.5), samples=[square(1)])
    known = {"path": str(start), "new_tokens": {"a": "b"}}  # a letter that the start has as a token
    train_recipe(sft_recipe(model=known, start_share=0.5, steps=1), samples=[square(1), square(2)])


def test_a_new_token_begins_with_the_weights_of_the_text_that_it_is_like_and_the_others_keep_theirs():
    model, processor = testing.tiny_qwen2_5_vl()
    layers = model.get_input_embeddings, model.get_output_embeddings
    before = [layer().weight.detach().clone() for layer in layers]
    assert not torch.equal(*before)
    written = processor.tokenizer("ab")["input_ids"]
    assert len(written) == 2
    add_tokens(model, processor.tokenizer, {"]}": "ab"})
    (new,) = processor.tokenizer("]}")["input_ids"]
    for layer, weights in zip(layers, before, strict=True):
        torch.testing.assert_close(layer().weight[new], weights[written].mean(dim=0))
        assert torch.equal(layer().weight[: len(weights)], weights)


def test_the_count_of_tokens_goes_into_a_checkpoint_and_on_from_it(tmp_path):
    told = TrainingArguments(str(tmp_path), use_cpu=True), TrainerState(), TrainerControl()
    before, after = SimpleNamespace(), SimpleNamespace()
    setattr(before, TokenCount.NAME, 70)
    TokenCount(before).on_step_end(*told)
    assert told[1].num_input_tokens_seen == 70
    setattr(after, TokenCount.NAME, 0)  # of another process
    TokenCount(after).on_train_begin(*told)
    assert getattr(after, TokenCount.NAME) == 70


def test_of_a_trainer_that_counts_elsewhere_no_count_is_kept(tmp_path):
    told = TrainingArguments(str(tmp_path), use_cpu=True), TrainerState(num_input_tokens_seen=7), TrainerControl()
    other = SimpleNamespace()
    TokenCount(other).on_train_begin(*told)
    TokenCount(other).on_step_end(*told)
    assert (vars(other), told[1].num_input_tokens_seen) == ({}, 7)


@pytest.mark.slow
def test_imitation_that_was_stopped_ends_as_if_it_had_not_been(recipe, tmp_path):
    samples = [square(index) for index in range(5)]
    straight = recipe.replaced(output=tmp_path / "straight")
    expected = load_file(train_recipe(straight, samples=samples) / "model.safetensors")

    def interrupt(step, steps, record):
        if step == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingStopped, match="stopped after step 3 of 6"):
        train_recipe(recipe, samples=samples, on_step=interrupt)
    found = load_file(train_recipe(recipe, samples=samples, resume=True) / "model.safetensors")
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    counted = [[entry["num_tokens"] for entry in read_log(run.output / "log.jsonl")] for run in (straight, recipe)]
    assert counted[0] == counted[1] == sorted(set(counted[0]))
