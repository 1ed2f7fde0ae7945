"""Imitation: TRL's `SFTTrainer` on reference answers.

>>> from thinkseg.training.config import load_recipe
>>> final = train_sft(load_recipe("recipes/pocket/sft.yaml"))  # doctest: +SKIP

The model reads the very tokens that it will read in rl and in use (the same messages, the image first) and learns the
answer and the token that ends its turn. Nothing else is learnt: not the prompt, and nothing after the end of the turn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from thinkseg.errors import RecipeError
from thinkseg.training import runs
from thinkseg.training.callbacks import OnStep
from thinkseg.training.config import Recipe
from thinkseg.training.policy import add_stop, load_policy
from thinkseg.training.rows import RowBuilder, Rows, Schedule, TrainingRow
from thinkseg.training.sources import load_samples
from thinkseg.types import Sample

IGNORED = -100
"""The label of a token that is not learnt."""


def train_sft(
    recipe: Recipe,
    *,
    samples: Sequence[Sample] | None = None,
    on_step: OnStep | None = None,
    resume: bool = False,
) -> Path:
    """Train a model to write reference answers.

    Args:
        recipe: what to train, how and on what.
        samples: in place of the recipe's data. One without a reference answer gets the boxes and points of its masks.
        on_step: called after every logged step, as in `train_rl`.
        resume: go on from the newest checkpoint in the recipe's output folder.

    Returns:
        The folder of the trained model.

    Raises:
        InputError: the recipe, the model or the data cannot be used.
        TrainingStopped: the run was interrupted and has saved itself.
    """
    if recipe.stage != "sft":
        raise RecipeError(f"this recipe is for {recipe.stage}, not for sft")
    with runs.quiet_libraries():
        return _train(recipe, load_samples(recipe.data) if samples is None else samples, on_step, resume)


def _train(recipe: Recipe, samples: Sequence[Sample], on_step: OnStep | None, resume: bool) -> Path:
    from trl import SFTTrainer

    args = runs.trl_arguments(recipe, max_length=None, train_sampling_strategy="sequential")
    per_step = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    steps = recipe.steps or math.ceil((recipe.epochs or 1.0) * len(samples) / per_step)
    args.max_steps, args.save_steps = steps, recipe.save_every or steps
    checkpoint = runs.open_run(recipe, resume)
    policy = load_policy(recipe)
    collator = ImitationCollator(policy.reasoner.processor)
    add_stop(policy.reasoner.model, collator.end_of_turn)
    schedule = Schedule(len(samples), recipe.seed, recipe.data.shuffle)
    builder = RowBuilder(samples, schedule, policy.answer_format, policy.reasoner, with_answers=True)
    trainer = SFTTrainer(
        model=policy.reasoner.model,
        processing_class=policy.reasoner.processor,
        args=args,
        train_dataset=Rows(builder, steps * per_step),
        data_collator=collator,
        peft_config=runs.lora_config(recipe.model.lora, policy.reasoner.family),
    )
    # Every token of a step counts the same, in whichever process or part of the step it is. The models say that they
    # take no count of the tokens, but the loss is TRL's and does.
    trainer.model_accepts_loss_kwargs = True
    runs.run_trainer(trainer, recipe, policy, checkpoint, on_step)
    return runs.save_final(trainer, policy, recipe.output)


class ImitationCollator:
    """From rows to the tensors of a batch: prompts padded on the left as in rollouts, answers padded on the right.

    Args:
        processor: the model's.

    Attributes:
        end_of_turn: the token that ends an answer, as the chat template has it.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self.end_of_turn = _end_of_turn(processor)

    def __call__(self, rows: Sequence[TrainingRow]) -> dict[str, torch.Tensor]:
        """`input_ids`, `attention_mask`, `labels` (rows, tokens), and what the model wants to know of the images."""
        tokenizer = self._processor.tokenizer
        prompts = [
            self._processor.apply_chat_template(row["prompt"], add_generation_prompt=True, tokenize=False)
            for row in rows
        ]
        inputs = dict(
            self._processor(
                images=[row["images"] for row in rows],
                text=prompts,
                padding=True,
                padding_side="left",
                return_tensors="pt",
            )
        )
        # Tokenized on its own, as a model writes it: after the prompt's last token, whatever the two might merge into.
        answers = [[*tokenizer(row["answer"], add_special_tokens=False)["input_ids"], self.end_of_turn] for row in rows]
        longest = max(map(len, answers))
        padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.end_of_turn
        prompt_ids = inputs["input_ids"]
        answer_ids = torch.tensor([ids + [padding] * (longest - len(ids)) for ids in answers])
        # By length and not by token: a tokenizer whose padding is its end of turn would lose the stop.
        written = torch.arange(longest) < torch.tensor([[len(ids)] for ids in answers])
        for name, values in inputs.items():
            if values.shape == prompt_ids.shape and name not in ("input_ids", "attention_mask"):
                inputs[name] = torch.cat([values, values.new_zeros(answer_ids.shape)], dim=1)  # what kind a token is
        inputs["attention_mask"] = torch.cat([inputs["attention_mask"], written.long()], dim=1)
        inputs["input_ids"] = torch.cat([prompt_ids, answer_ids], dim=1)
        not_learnt = torch.full_like(prompt_ids, IGNORED)
        inputs["labels"] = torch.cat([not_learnt, answer_ids.masked_fill(~written, IGNORED)], dim=1)
        return inputs


def _end_of_turn(processor: Any) -> int:
    """The token with which the chat template ends what the assistant says; else the tokenizer's end of text."""
    tokenizer = processor.tokenizer
    said = "answer"
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "question"}]},
        {"role": "assistant", "content": [{"type": "text", "text": said}]},
    ]
    text: str = processor.apply_chat_template(messages, tokenize=False)
    rest = tokenizer(text[text.rindex(said) + len(said) :], add_special_tokens=False)["input_ids"]
    added = tokenizer.added_tokens_decoder
    ends = [token for token in rest[:1] if token in added and added[token].special]
    return int(ends[0] if ends else tokenizer.eos_token_id)
