"""Imitation: TRL's `SFTTrainer` on reference answers.

The model reads the very tokens that it will read in rl and in use (the same messages, the image first) and learns the
answer and the token that ends its turn. Nothing else is learnt: not the prompt, and nothing after the end of the turn;
and of an answer without thinking, such as one that was made from masks, not that the thinking ends where it begins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from thinkseg.models.chat import render_chat
from thinkseg.training import runs
from thinkseg.training.config import Recipe
from thinkseg.training.ordering import create_schedule
from thinkseg.training.policy import add_stop
from thinkseg.training.rows import RowBuilder, Rows, Schedule, TrainingRow
from thinkseg.training.spread import add_up_head
from thinkseg.training.stage import CreateTrainer, Plan, PreparedRun, Stage
from thinkseg.training.thinking import own_thoughts

IGNORED = -100
"""The label of a token that is not learnt."""


def arguments(recipe: Recipe) -> Any:
    """The recipe as TRL's `SFTConfig`."""
    return runs.trl_arguments(recipe, max_length=None, train_sampling_strategy="sequential")


def plan_run(recipe: Recipe, args: Any, samples: int) -> Plan:
    """Lay out a run, as many steps as show every sample in each epoch."""
    per_step = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    steps = recipe.steps or math.ceil((recipe.epochs or 1.0) * samples / per_step)
    return Plan(steps, steps * per_step)


def create_trainer(run: PreparedRun, create: CreateTrainer) -> Any:
    """TRL's trainer, for which one more token ends a completion: that of the end of the turn."""
    from thinkseg.training.shared_prefix.imitation import sharing_images

    recipe, policy = run.recipe, run.policy
    collator = ImitationCollator(policy.reasoner.processor)
    add_stop(policy.reasoner.model, collator.end_of_turn)
    schedule = create_schedule(recipe, run.samples)
    builder = RowBuilder(
        run.samples,
        schedule,
        policy.answer_format,
        policy.reasoner,
        with_answers=True,
        wording=policy.wording,
        thoughts=_thoughts(run, schedule) if recipe.thinking == "own" else None,
    )
    image_token = policy.reasoner.family.image_token_id(policy.reasoner.model.config)
    trainer = sharing_images(create, recipe.shared_prefix, image_token)(
        model=policy.reasoner.model,
        processing_class=policy.reasoner.processor,
        args=run.args,
        train_dataset=Rows(builder, run.plan.rows),
        data_collator=collator,
        peft_config=runs.lora_config(recipe.model.lora, policy.reasoner.family),
    )
    add_up_head(policy.reasoner.model)
    # Every token of a step counts the same, in whichever process or part of the step it is. The models say that they
    # take no count of the tokens, but the loss is TRL's and does.
    trainer.model_accepts_loss_kwargs = True
    trainer.add_callback(TokenCount(trainer))
    return trainer


class TokenCount(TrainerCallback):
    """Keeps the count of tokens with the run: TRL's `SFTTrainer` counts from the start of a process, unlike its others.

    Args:
        trainer: TRL's; nothing is kept of one that does not count where 1.16 does.
    """

    NAME = "_total_train_tokens"

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Go on counting from the checkpoint."""
        if hasattr(self._trainer, self.NAME):
            setattr(self._trainer, self.NAME, int(state.num_input_tokens_seen))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Give the count to what a checkpoint keeps."""
        state.num_input_tokens_seen = getattr(self._trainer, self.NAME, state.num_input_tokens_seen)


def _thoughts(run: PreparedRun, schedule: Schedule) -> Mapping[int, str]:
    """The model's own thinking for the samples that the run shows."""
    shown = sorted({schedule[row] for row in range(run.plan.rows)})
    policy = run.policy
    policy.reasoner.model.to(run.args.device)  # where the trainer will have it
    return own_thoughts(policy.reasoner, policy.wording, run.samples, shown)


STAGE = Stage("SFTTrainer", arguments, plan_run, create_trainer)
"""Imitation."""


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
        prompts = [render_chat(self._processor, row["prompt"], add_generation_prompt=True) for row in rows]
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
        learnt = [self._learnt(row, len(ids)) for row, ids in zip(rows, answers, strict=True)]
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
        known = torch.tensor([one + [False] * (longest - len(one)) for one in learnt])
        inputs["labels"] = torch.cat([not_learnt, answer_ids.masked_fill(~(written & known), IGNORED)], dim=1)
        return inputs

    def _learnt(self, row: TrainingRow, count: int) -> list[bool]:
        """Which of so many tokens of an answer are learnt: all that touch nothing of what is not known."""
        first, last = row["not_learnt"]
        tokenizer = self._processor.tokenizer
        if first == last or not tokenizer.is_fast:  # only fast ones say where their tokens stand
            return [True] * count
        places = tokenizer(row["answer"], add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        return [not (begin < last and end > first) for begin, end in places] + [True]


def _end_of_turn(processor: Any) -> int:
    """The token with which the chat template ends what the assistant says; else the tokenizer's end of text."""
    tokenizer = processor.tokenizer
    said = "answer"
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "question"}]},
        {"role": "assistant", "content": [{"type": "text", "text": said}]},
    ]
    text = render_chat(processor, messages)
    rest = tokenizer(text[text.rindex(said) + len(said) :], add_special_tokens=False)["input_ids"]
    added = tokenizer.added_tokens_decoder
    ends = [token for token in rest[:1] if token in added and added[token].special]
    return int(ends[0] if ends else tokenizer.eos_token_id)
