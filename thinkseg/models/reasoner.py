"""The reasoner: any multimodal model of transformers that writes text about an image.

>>> from thinkseg.models.reasoner_loading import load_reasoner
>>> reasoner = load_reasoner("Qwen/Qwen2.5-VL-3B-Instruct", device="cuda")  # doctest: +SKIP
>>> reasoner.complete([Request(image, Instruction("Where is the cat?"))])  # doctest: +SKIP

Text is decoded greedily and without a repetition penalty, whatever the checkpoint's `generation_config.json` says: some
carry a penalty of 1.05, which bends strings of digits and which training does not use. The setting `decoding` uses it
all the same, for numbers that are to be held against published ones. Prompts are padded on the left
and never truncated; a completion cannot contain the tokens that stand for images.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

import torch
from PIL import Image

from thinkseg import stopwatch
from thinkseg.errors import CheckpointError, ImageError, InputError
from thinkseg.models.canvas import Canvas
from thinkseg.models.chat import render_chat, use_tokenizers_template
from thinkseg.models.checkpoint_config import CheckpointConfig, Decoding
from thinkseg.models.families import Family, family_of, frame_by_family
from thinkseg.models.frames import FrameRule, frame_by_rule, frame_rule, refuse_without_canvas
from thinkseg.models.listening import Hearing, Listener
from thinkseg.models.passes import PromptLengths, passes_of
from thinkseg.models.sharing.prefill import prompts_read_once
from thinkseg.types import Completion, FinishReason, Instruction, Request, Size

ANSWER_TAGS = ("think", "answer", "bbox", "points", "labels")
"""Tags that stay in the text even where a tokenizer has them as special tokens."""

DEFAULT_MAX_NEW_TOKENS = 512
"""Length limit of a completion where nothing says another one."""

_OPENED_THINKING = re.compile(r"<think>\s*(?:</think>\s*)?$")

_TOLD_AT_ONCE = 4
"""Rows of a batch that are told after a token."""

Message = dict[str, Any]


class TransformersReasoner:
    """A `Reasoner` on a model of `AutoModelForImageTextToText` and its processor.

    Args:
        model: the model, in evaluation mode on its device.
        processor: its processor: image processor, tokenizer and chat template; not to be changed afterwards.
        family: what is true of models of its kind; by the `model_type` of its config when None.
        rule: in which frame the model writes coordinates, if that is not its family's.
        max_new_tokens: the length limit of a completion, in tokens.
        batch_size: how many prompts are decoded together; changes the speed, not the text.
        canvas: stretch every image to this square, or to one of this many pixels a side, before the processor sees it
            (some checkpoints were trained so), or None to leave the shape alone.
        decoding: how `complete` decodes, as `CheckpointConfig.decoding` says.

    Raises:
        InputError: a number is below 1, or the rule measures in a canvas and there is none.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        family: Family | None = None,
        *,
        rule: FrameRule | None = None,
        max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS,
        batch_size: int = 8,
        canvas: Canvas | int | None = None,
        decoding: Decoding = "greedy",
    ) -> None:
        if max_new_tokens < 1 or batch_size < 1:
            raise InputError(f"max_new_tokens and batch_size are at least 1, found {max_new_tokens} and {batch_size}")
        self.model = model
        self.processor = processor
        self.family = family_of(model.config.model_type, frame=rule) if family is None else family
        self.rule = rule
        self.max_new_tokens = max_new_tokens
        self.batch_size = batch_size
        self.tokens_per_pass: int | None = None
        self._lengths = PromptLengths(processor)
        self.canvas = Canvas(canvas) if isinstance(canvas, int) else canvas
        self.decoding = decoding
        self._frames: dict[Size, Size] = {}
        self._refuse_without_canvas()
        use_tokenizers_template(processor)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.model.device
        return device

    def asked_as(self, config: CheckpointConfig) -> TransformersReasoner:
        """The same model asked in another way, sharing its weights.

        Args:
            config: its frame rule, canvas, length of a completion and decoding, all of them; limits of pixels belong
                to the processor and stay.
        """
        other = copy.copy(self)
        other.rule = None if config.frame is None else frame_rule(config.frame)
        other.max_new_tokens = config.max_new_tokens or DEFAULT_MAX_NEW_TOKENS
        other.canvas = canvas_of(config)
        other.decoding = config.decoding or "greedy"
        other._frames = {}
        other._refuse_without_canvas()
        return other

    def filled(self, tokens_per_pass: int | None) -> TransformersReasoner:
        """The same model, whose batches are filled by tokens in the place of `batch_size`; the text stays the same.

        Args:
            tokens_per_pass: how many of prompts, images and padding among them, are read together, from 1: many short
                prompts at a time, and few long ones. None goes by `batch_size`.
        """
        if tokens_per_pass is not None and tokens_per_pass < 1:
            raise InputError(f"tokens_per_pass is at least 1, found {tokens_per_pass}")
        other = copy.copy(self)
        other.tokens_per_pass = tokens_per_pass
        return other

    def _refuse_without_canvas(self) -> None:
        by_rule = type(self.family).frame_of is Family.frame_of  # a family's own code need not go by the rule
        rule = self.family.frame_rule if self.rule is None and by_rule else self.rule
        refuse_without_canvas(rule, None if self.canvas is None else self.canvas.side)

    def without_model(self) -> TransformersReasoner:
        """The same without weights: for frames and sizes of images, which the processor knows, in other processes."""
        light = copy.copy(self)
        light.model = None
        return light

    def frame_of(self, image: Image.Image) -> Size:
        """The frame of this image's coordinates, read back from the processor (see `models.frames`)."""
        size = Size(*image.size)
        if size not in self._frames:
            seen = size if self.canvas is None else self.canvas.size
            self._frames[size] = (
                frame_by_family(self.family, self.processor, seen)
                if self.rule is None
                else frame_by_rule(self.rule, self.processor, seen)
            )
        return self._frames[size]

    def on_canvas(self, image: Image.Image) -> Image.Image:
        """The image as it is handed to the processor: stretched over the canvas, if there is one."""
        return image if self.canvas is None else self.canvas.stretch(image)

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion per request, in order: greedy, unless the model is to be decoded as its own settings say.

        Where these draw at random, a batch always draws the same.
        """
        return self._complete_one_each(requests, None)

    def stream(self, requests: Sequence[Request], listen: Listener) -> list[Completion]:
        """What `complete` gives, told while it is written: see `models.listening.StreamingReasoner`."""
        return self._complete_one_each(requests, listen)

    def _complete_one_each(self, requests: Sequence[Request], listen: Listener | None) -> list[Completion]:
        decoding = self.own_decoding()
        with ExitStack() as open_while_drawing:
            if decoding["do_sample"]:
                devices = [self.device] if self.device.type == "cuda" else []
                open_while_drawing.enter_context(torch.random.fork_rng(devices=devices))
                torch.manual_seed(0)
            return [completions[0] for completions in self._complete(requests, 1, decoding, listen)]

    def sample(
        self, requests: Sequence[Request], count: int = 1, *, temperature: float = 1.0, top_p: float = 1.0
    ) -> list[list[Completion]]:
        """Several completions per request, in order.

        Args:
            requests: what to ask; duplicates are answered one by one.
            count: how many completions per request.
            temperature: 0 is greedy; 1 samples from the model's own distribution (set the seed with torch).
            top_p: keep the likeliest tokens that hold this share of the probability.
        """
        if temperature == 0.0 and count > 1:
            raise InputError(f"greedy decoding gives one completion per request, {count} were asked for")
        return self._complete(requests, count, _plain_decoding(temperature, top_p))

    def own_decoding(self) -> dict[str, Any]:
        """What `generate` is told where one completion is asked for."""
        own = self.model.generation_config
        penalty = {"repetition_penalty": getattr(own, "repetition_penalty", None) or 1.0}
        if self.decoding == "sampled" and own.do_sample:
            drawn = {name: getattr(own, name, None) for name in ("temperature", "top_p", "top_k")}
            given = {name: value for name, value in drawn.items() if value is not None}
            return _plain_decoding(1.0, 1.0) | given | penalty
        return _plain_decoding(0.0, 1.0) | ({} if self.decoding == "greedy" else penalty)

    def _complete(
        self, requests: Sequence[Request], count: int, decoding: Mapping[str, Any], listen: Listener | None = None
    ) -> list[list[Completion]]:
        prompts = [self.prompt(request.instruction) for request in requests]
        completions: dict[int, list[Completion]] = {}
        with torch.inference_mode():
            for batch in self._batches(requests, prompts):
                inputs = self._inputs([requests[i].image for i in batch], [prompts[i] for i in batch])
                hearing = None if listen is None else Hearing(listen, batch)
                aloud = {} if hearing is None else self._aloud(hearing, inputs, [prompts[i] for i in batch])
                with self._computed_once([requests[i].image for i in batch], count):
                    written = self._generate(inputs, count, {**decoding, **aloud})
                stopwatch.count("tokens", sum(len(tokens) for tokens in written))
                for row, index in enumerate(batch):
                    own = written[row * count : (row + 1) * count]
                    completions[index] = [self._completion(prompts[index], tokens) for tokens in own]
                    if hearing is not None:
                        completions[index] = [hearing.finish(row, completions[index][0])]
        return [completions[index] for index in range(len(requests))]

    def _batches(self, requests: Sequence[Request], prompts: Sequence[str]) -> Iterator[list[int]]:
        """Indices of requests that are of like length, so that little is padded."""
        if self.tokens_per_pass is not None:
            sizes = [Size(*request.image.size) if self.canvas is None else self.canvas.size for request in requests]
            lengths = [self._lengths.of(prompt, size) for prompt, size in zip(prompts, sizes, strict=True)]
            yield from passes_of(lengths, [id(request.image) for request in requests], self.tokens_per_pass)
            return

        def length(index: int) -> tuple[int, int]:
            image = requests[index].image
            return image.width * image.height, len(prompts[index])

        order = sorted(range(len(requests)), key=length, reverse=True)
        for start in range(0, len(order), self.batch_size):
            yield order[start : start + self.batch_size]

    def inputs(self, requests: Sequence[Request]) -> Any:
        """What the model is given for these requests: a batch padded on the left, on the model's device."""
        return self._inputs(
            [request.image for request in requests], [self.prompt(request.instruction) for request in requests]
        )

    def prompt(self, instruction: Instruction) -> str:
        """The instruction in the model's chat layout, up to where the model begins to write."""
        said = f"{instruction.system or ''}\n{instruction.user}"
        for token in self._control_tokens.values():
            if token in said:
                raise InputError(f"the query contains {token!r}, which is a control token of this model; leave it out")
        return render_chat(self.processor, chat_messages(instruction), add_generation_prompt=True)

    def _inputs(self, images: Sequence[Image.Image], prompts: Sequence[str]) -> Any:
        try:
            inputs = self.processor(
                images=[[self.on_canvas(image)] for image in images],
                text=list(prompts),
                padding=True,
                padding_side="left",
                return_tensors="pt",
            )
        except ValueError as error:
            sizes = ", ".join(f"{image.width}×{image.height}" for image in images)
            raise ImageError(f"the model's processor refuses an image among those of {sizes}: {error}") from error
        return inputs.to(self.device, dtype=self.model.dtype)

    def _generate(self, inputs: Mapping[str, Any], count: int, decoding: Mapping[str, Any]) -> list[list[int]]:
        """The new tokens of each row, up to and including the one that ended it."""
        tokens = self.model.generate(
            **inputs,
            **decoding,
            num_beams=1,
            num_return_sequences=count,
            max_new_tokens=self.max_new_tokens,
            eos_token_id=sorted(self._stop_ids),
            pad_token_id=self._pad_id,
            suppress_tokens=sorted(self.vision_token_ids) or None,
        )
        rows: list[list[int]] = tokens[:, inputs["input_ids"].shape[1] :].tolist()
        return [self._until_stop(row) for row in rows]

    def _aloud(self, hearing: Hearing, inputs: Mapping[str, Any], prompts: Sequence[str]) -> dict[str, Any]:
        """What `generate` is told so that somebody hears what is written; a row of which no more is wanted ends.

        To make text of tokens takes its time: of many rows, a few are told after each token, in turn.
        """
        from transformers import StoppingCriteriaList

        start, turns = inputs["input_ids"].shape[1], -(-len(prompts) // _TOLD_AT_ONCE)
        ends = [False] * len(prompts)

        def heard(input_ids: torch.Tensor, _scores: object, **_: object) -> torch.Tensor:
            for row in range(input_ids.shape[1] % turns, len(prompts), turns):
                tokens = self._until_stop(input_ids[row, start:].tolist())
                ends[row] = not hearing.hear(row, self._completion(prompts[row], tokens).text)
            return torch.tensor(ends, dtype=torch.bool, device=input_ids.device)

        return {"stopping_criteria": StoppingCriteriaList([heard])}

    @contextmanager
    def _computed_once(self, images: Sequence[Image.Image], count: int) -> Iterator[None]:
        """While this is open, an image that several rows are about is encoded once, a prompt of several read once."""
        with ExitStack() as once:
            if count > 1 or len({id(image) for image in images}) < len(images):
                once.enter_context(self.family.encoding_once(self.model))
            if count > 1:
                once.enter_context(prompts_read_once(self.model))
            yield

    def _until_stop(self, row: list[int]) -> list[int]:
        for position, token in enumerate(row):
            if token in self._stop_ids:
                return row[: position + 1]
        return row

    def _completion(self, prompt: str, tokens: Sequence[int]) -> Completion:
        """The text without control tokens, together with thinking that the chat template has opened for the model."""
        stopped = bool(tokens) and tokens[-1] in self._stop_ids
        kept = [token for token in tokens if token not in self._control_tokens]
        text = self.processor.tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return Completion(
            text=opened_thinking(prompt) + text,
            finish_reason=FinishReason.STOP if stopped else FinishReason.LENGTH,
        )

    @cached_property
    def vision_token_ids(self) -> frozenset[int]:
        """Tokens that stand for images, which no completion has."""
        return self.family.vision_token_ids(self.model.config, self.processor)

    @cached_property
    def _stop_ids(self) -> frozenset[int]:
        configured = self.model.generation_config.eos_token_id
        ids = configured if isinstance(configured, list) else [configured]
        stops = frozenset(token for token in (*ids, self.processor.tokenizer.eos_token_id) if token is not None)
        if not stops:
            raise CheckpointError("this checkpoint names no end-of-text token, so its completions would never stop")
        return stops

    @cached_property
    def _pad_id(self) -> int:
        pad = self.processor.tokenizer.pad_token_id
        return min(self._stop_ids) if pad is None else int(pad)

    @cached_property
    def _control_tokens(self) -> dict[int, str]:
        """Special tokens by id, those that write an answer excepted."""
        tokenizer = self.processor.tokenizer
        tags = {form.format(tag) for tag in ANSWER_TAGS for form in ("<{}>", "</{}>")}
        added = {token: entry.content for token, entry in tokenizer.added_tokens_decoder.items() if entry.special}
        vision = {token: str(tokenizer.convert_ids_to_tokens(token)) for token in self.vision_token_ids}
        return {token: text for token, text in {**added, **vision}.items() if text not in tags}


def _plain_decoding(temperature: float, top_p: float) -> dict[str, Any]:
    """What `generate` is told: greedy at a temperature of 0; never a penalty."""
    if temperature > 0.0:
        drawn = {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": 0}
        return {**drawn, "repetition_penalty": 1.0}
    return {"do_sample": False, "temperature": 1.0, "top_p": 1.0, "top_k": 50, "repetition_penalty": 1.0}


def opened_thinking(prompt: str) -> str:
    """Thinking that the chat template has opened for the model at the end of a prompt, or opened and closed."""
    opened = _OPENED_THINKING.search(prompt)
    return opened.group() if opened else ""


def canvas_of(config: CheckpointConfig) -> Canvas | None:
    """The square that a checkpoint is shown, if there is one."""
    if config.canvas is None:
        return None
    return Canvas(config.canvas, config.canvas_filter or "bicubic", bool(config.canvas_jpeg))


def chat_messages(instruction: Instruction) -> list[Message]:
    """The instruction as chat messages in the order that training uses too: system if any, then image, then text."""
    user: Message = {
        "role": "user",
        "content": [{"type": "image"}, {"type": "text", "text": instruction.user}],
    }
    if instruction.system is None:
        return [user]
    return [{"role": "system", "content": [{"type": "text", "text": instruction.system}]}, user]
