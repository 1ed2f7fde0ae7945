"""What a run needs of its device's memory, by the arithmetic of docs/memory.md and not by measurement.

The model is built on PyTorch's meta device, from its config alone: nothing is downloaded but that, and no weight is
read. Left out are what the segmenter needs while it encodes an image, the gaps between allocations, and what CUDA
itself takes.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from thinkseg.errors import InputError, RecipeError
from thinkseg.models import loading
from thinkseg.models.chat import render_chat, use_tokenizers_template
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.models.engines.service import is_address
from thinkseg.models.families import family_of
from thinkseg.models.frames import frame_rule
from thinkseg.models.quantizing import BYTES_A_WEIGHT, quantized_layers
from thinkseg.models.reasoner import chat_messages
from thinkseg.models.shapes import without_weights
from thinkseg.training.config import Recipe
from thinkseg.types import Instruction, Size

GB = 1e9
HALF, WHOLE = 2, 4
"""Bytes of a number in bfloat16 and in float32."""
KEPT_OF_HIDDEN, KEPT_OF_INNER, KEPT_OF_KEYS = 64, 14, 4
"""Bytes in bfloat16 that a decoder layer with adapters keeps for a backward pass, a token: for each unit of its width,
its feed-forward's and its keys'. What `benchmarks/memory.py` weighs on real layers of Qwen2.5-VL, within 0.5 %."""
TOKEN_SIDE = 28
"""Pixels of the square that an image token stands for, where the config has no size of patches: as in Qwen2.5-VL."""
ROOM = 0.95
"""Share of a card's memory that a run can have, at most."""

KNOWN_SEGMENTERS: Mapping[str, float] = {"facebook/sam2.1-hiera-large": 0.217e9, "grabcut": 0}
"""Weights by name, where no folder says."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a model the arithmetic needs."""

    weights: int
    adapters: int
    """Weights of the adapters; 0 where every weight is trained."""
    layers: int
    """Of the language model."""
    hidden: int
    inner: int
    """Width of its feed-forward part."""
    keys: int
    """Numbers of a token that each layer keeps as keys, and as many as values: heads × their size."""
    vocabulary: int
    quantized: int = 0
    """Weights that are kept in 4 bits."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How a launcher spreads what is trained."""

    cards: int
    weights: bool
    """Whether the weights are spread, too (ZeRO 3, FSDP), and not only gradients and moments (ZeRO 2)."""
    master: bool
    """Whether whole weights in float32 are kept beside those that are computed with, as DeepSpeed does."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one card works on."""

    completions: int
    """Forward and backward at once."""
    prompt: int
    """Tokens of a prompt, the image's included."""
    answer: int
    """Tokens of the longest completion."""
    prompts: int | None = None
    """Prompts that are computed for them; None for one each."""
    sampled: int = 0
    """Completions that are sampled at once; 0 for sft, and where vLLM samples."""
    number: int = HALF
    """Bytes of a number in a forward pass."""
    checkpointed: bool = True
    """Whether layers are computed again in place of being kept (gradient checkpointing)."""
    has_reference: bool = False
    """Whether a second copy of the weights is there, from which the KL term is measured."""
    spread: Spread | None = None
    """How the run is spread over cards; None for a whole copy on each."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run needs, part by part."""

    parts: Mapping[str, float]
    """Bytes."""
    unknown: tuple[str, ...] = field(default=())
    """What is not counted, in words."""

    @property
    def total(self) -> float:
        """Bytes in all."""
        return sum(self.parts.values())

    @property
    def fixed(self) -> float:
        """Bytes that no smaller batch and no shorter answer would save."""
        return sum(value for name, value in self.parts.items() if name in FIXED)

    def in_words(self) -> str:
        """The sum and its parts, in GB."""
        parts = ", ".join(f"{name} {value / GB:.2f}" for name, value in self.parts.items() if value)
        left_out = "; not counted: " + ", ".join(self.unknown) if self.unknown else ""
        return f"about {self.total / GB:.1f} GB ({parts}{left_out})"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is asked; where nothing is known of it, what docs/memory.md takes."""

    pixels: int = 756 * 756
    """Of the image as the model sees it."""
    text: int = 300
    """Tokens beside the image's."""
    tokens: int | None = None
    """In all, where the model's processor says how many it makes."""


WEIGHTS, TRAINED, REFERENCE, SEGMENTER = "weights", "gradients and moments", "reference", "segmenter"
FIXED = frozenset({WEIGHTS, TRAINED, REFERENCE, SEGMENTER})


def parts_of(shape: Shape, load: Load, weight_bytes: int, segmenter: float = 0) -> dict[str, float]:
    """Bytes on one card that holds all of the model.

    Args:
        shape: of the model.
        load: what it works on.
        weight_bytes: of one weight, as it is kept while it trains.
        segmenter: how many weights it has, in float32.
    """
    prompts = load.completions if load.prompts is None else load.prompts
    tokens = prompts * load.prompt + load.completions * load.answer
    units = KEPT_OF_HIDDEN * shape.hidden + KEPT_OF_INNER * shape.inner + KEPT_OF_KEYS * shape.keys
    layer = units * load.number / HALF * tokens
    between = shape.layers * tokens * shape.hidden * load.number
    kept = between + layer if load.checkpointed else shape.layers * layer
    spread = load.spread or Spread(1, weights=False, master=False)
    # Of an adapter, in float32, the weight, too; of every weight gradient and two moments; of DeepSpeed a gradient as
    # the weight is, and in float32 the weight and two moments.
    every = weight_bytes + 3 * WHOLE if spread.master else 3 * weight_bytes
    trained = shape.adapters * 4.0 * WHOLE if shape.adapters else float(shape.weights * every)
    weights = (shape.weights - shape.quantized) * weight_bytes + shape.quantized * BYTES_A_WEIGHT
    whole = weights / spread.cards if spread.weights else float(weights)
    return {
        WEIGHTS: whole,
        TRAINED: trained / spread.cards,
        REFERENCE: whole if load.has_reference and not shape.adapters else 0.0,
        SEGMENTER: segmenter * WHOLE,
        "kept for the backward pass": kept,
        "logits": float(load.completions * load.answer * shape.vocabulary * (load.number + WHOLE + WHOLE)),
        "KV cache": 2.0 * shape.layers * shape.keys * load.number * load.sampled * (load.prompt + load.answer),
    }


_NOT_TO_BE_HAD = (OSError, InputError, ValueError, KeyError, AttributeError)
"""How a model's config or processor fails to load; a run says more of it."""


def estimate(recipe: Recipe, args: Any, prompt: Prompt | None = None) -> Estimate | None:
    """What a run needs on each card; None where the model's config cannot be had, or where some of it lies elsewhere.

    Args:
        recipe: what to train.
        args: TRL's configuration of it.
        prompt: the longest one; None for that of docs/memory.md.
    """
    try:
        shape, side = shape_of(recipe)
    except _NOT_TO_BE_HAD:
        return None
    try:
        spread = spread_of(args)
    except NotImplementedError:
        return None
    asked = prompt or Prompt()
    rl = recipe.stage == "rl"
    prompt_tokens = asked.tokens or math.ceil(asked.pixels / side**2) + asked.text
    answer = recipe.generation.max_new_tokens or _told_length(recipe) or 512
    group = _at_once(recipe, args, prompt_tokens, answer)
    on_cpu = args.device.type == "cpu"
    load = Load(
        completions=group,
        prompt=prompt_tokens,
        answer=answer,
        prompts=_prompts_in(group, args.num_generations) if rl and recipe.shared_prefix != "off" else None,
        sampled=args.per_device_train_batch_size * args.gradient_accumulation_steps if rl and not args.use_vllm else 0,
        number=HALF if (args.bf16 or args.fp16 or recipe.model.dtype in ("bfloat16", "float16")) else WHOLE,
        checkpointed=bool(args.gradient_checkpointing),
        has_reference=rl and bool(args.beta),
        spread=spread,
    )
    in_4_bits = recipe.model.lora is not None and recipe.model.lora.bits is not None
    as_on_card = in_4_bits and recipe.model.dtype == "auto" and not on_cpu  # as the files have it
    weight_bytes = HALF if recipe.model.dtype in ("bfloat16", "float16") or as_on_card else WHOLE
    segmenter = _segmenter_weights(recipe) if rl or recipe.validation is not None else 0
    unknown = [] if segmenter is not None else [f"the segmenter '{recipe.segmenter}'"]
    unknown += ["vLLM's share of the card"] if rl and args.use_vllm and not on_cpu else []
    return Estimate(parts_of(shape, load, weight_bytes, segmenter or 0), tuple(unknown))


def spread_of(args: Any, environment: Mapping[str, str] = os.environ) -> Spread | None:
    """How the launcher spreads a run; None for a whole copy on each card.

    Args:
        args: TRL's configuration.
        environment: in which Accelerate's launcher says whether it is FSDP.

    Raises:
        NotImplementedError: in a way that the arithmetic does not know, such as into the memory of the CPU.
    """
    plugin = args.deepspeed_plugin
    if plugin is None:
        by_fsdp = environment.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
        if by_fsdp and environment.get("FSDP_OFFLOAD_PARAMS", "false").lower() == "true":
            raise NotImplementedError
        return Spread(args.world_size, weights=True, master=False) if by_fsdp else None
    elsewhere = (getattr(plugin, f"offload_{what}_device", None) for what in ("optimizer", "param"))
    if plugin.zero_stage not in (2, 3) or any(device not in (None, "none") for device in elsewhere):
        raise NotImplementedError
    return Spread(args.world_size, weights=plugin.zero_stage == 3, master=True)


def _at_once(recipe: Recipe, args: Any, prompt: int, answer: int) -> int:
    """Completions that go forward and backward together: a micro-batch, or all groups that a pass has room for."""
    batch: int = args.per_device_train_batch_size
    if recipe.tokens_per_pass is None:
        return batch
    group: int = args.num_generations
    room, most = recipe.tokens_per_pass, int(batch * args.gradient_accumulation_steps)
    whole = room // (prompt + group * answer) * group
    torn = (room - prompt) // answer // batch * batch  # of a group without room for all of it
    return max(batch, min(whole or torn, most))


def _prompts_in(batch: int, group: int) -> int:
    """Prompts of a batch at most, where completions of a prompt are next to each other."""
    return max(1, batch // group) if batch % group == 0 or group % batch == 0 else batch // group + 2


def prompt_seen(path: str, config: CheckpointConfig, size: Size, instruction: Instruction) -> Prompt:
    """A prompt as the model's processor makes it; as far as that cannot be had, what is known without it.

    Args:
        path: of the model.
        config: how it is asked.
        size: of the image.
        instruction: what is said beside it.
    """
    from transformers import AutoProcessor

    seen = size if config.canvas is None else Size(config.canvas, config.canvas)
    source = loading.locate(path, "reasoner")
    try:
        rule = None if config.frame is None else frame_rule(config.frame)
        family = family_of(loading.model_type(source), config.family, frame=rule)
        processor = AutoProcessor.from_pretrained(source)
        family.set_pixel_limits(processor, config.min_pixels, config.max_pixels)
        use_tokenizers_template(processor)
        said = render_chat(processor, chat_messages(instruction), add_generation_prompt=True)
        blank = Image.new("RGB", (seen.width, seen.height))
        tokens = processor(images=[[blank]], text=[said], return_tensors="pt")["input_ids"].shape[1]
    except _NOT_TO_BE_HAD:
        pixels = max(seen.width * seen.height, config.min_pixels or 0)
        return Prompt(min(pixels, config.max_pixels or pixels))
    return Prompt(tokens=tokens)


def shape_of(recipe: Recipe) -> tuple[Shape, int]:
    """The shape of the recipe's model, and the side in pixels of the square that is one of its tokens."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    source = loading.locate(recipe.model.path, "reasoner")
    config = AutoConfig.from_pretrained(source)
    with without_weights():
        model = AutoModelForImageTextToText.from_config(config)
    model.tie_weights()
    text, vision = config.get_text_config(), config.vision_config
    lora, adapters, quantized = recipe.model.lora, 0, 0
    if lora is not None:
        family = family_of(config.model_type, recipe.model.family)
        pattern = re.compile(lora.target_modules or family.lora_targets)
        layers = [module for name, module in model.named_modules() if pattern.fullmatch(name)]
        adapters = sum(lora.r * sum(layer.weight.shape) for layer in layers)
        if lora.bits is not None:
            in_4_bits = quantized_layers(model, family)
            quantized = sum(model.get_submodule(name).weight.numel() for name in in_4_bits)
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    shape = Shape(
        weights=sum(weight.numel() for weight in model.parameters()),
        adapters=adapters,
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        inner=text.intermediate_size,
        keys=text.num_key_value_heads * head,
        vocabulary=text.vocab_size,
        quantized=quantized,
    )
    patch = getattr(vision, "patch_size", None)
    return shape, patch * getattr(vision, "spatial_merge_size", 1) if isinstance(patch, int) else TOKEN_SIDE


def refuse_too_little(needed: Estimate | None, card: float) -> str | None:
    """Hold an estimate against a card's memory.

    Args:
        needed: by the run; None where it is not known.
        card: its bytes.

    Returns:
        A sentence for the user where the card may not do; None where it seems to.

    Raises:
        RecipeError: the card cannot even hold what no smaller batch would save.
    """
    if needed is None or needed.total <= ROOM * card:
        return None
    has = f"{needed.in_words()} by the arithmetic of docs/memory.md, and the card has {card / GB:.1f} GB"
    smaller = "--trl.per_device_train_batch_size, shorter answers or smaller images (images.max_pixels)"
    if needed.fixed > card:
        raise RecipeError(
            f"the run needs {has}: train adapters (--model.lora.r 16, --model.dtype bfloat16), a smaller model, or on "
            "several cards (recipes/accelerate)"
        )
    return f"the run may need more memory than there is: {has}; if it runs out, try a smaller {smaller}"


def _told_length(recipe: Recipe) -> int | None:
    """The length of an answer that the model's folder names."""
    from thinkseg.models.checkpoint_config import resolve_config

    return resolve_config(recipe.model.path, recipe.checkpoint_config()).max_new_tokens


def _segmenter_weights(recipe: Recipe) -> float | None:
    """How many weights the segmenter has; None where nothing says."""
    from safetensors import safe_open

    name = recipe.segmenter
    if name in KNOWN_SEGMENTERS:
        return KNOWN_SEGMENTERS[name]
    if is_address(name):  # in the memory of its service
        return 0
    folder = loading.pocket_folder("segmenter") if name == loading.POCKET else Path(name)
    files = sorted(folder.glob("*.safetensors")) if folder is not None and folder.is_dir() else []
    if not files:
        return 0 if folder is None else None
    count = 0
    for file in files:
        with safe_open(file, framework="pt") as opened:
            count += sum(math.prod(opened.get_slice(key).get_shape()) for key in opened.keys())  # noqa: SIM118
    return float(count)
