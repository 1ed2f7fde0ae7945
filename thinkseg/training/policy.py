"""The model that a stage trains, with all that is known about how it is prompted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MethodType
from typing import Any

from thinkseg.answers.base import AnswerFormat
from thinkseg.errors import RecipeError
from thinkseg.models.asking import check_text
from thinkseg.models.checkpoint_config import CheckpointConfig, resolve_config, write_config
from thinkseg.models.published.wording import Wording, wording_for
from thinkseg.models.reasoner import TransformersReasoner
from thinkseg.models.reasoner_loading import load_reasoner
from thinkseg.training.config import Recipe


@dataclass(frozen=True, slots=True)
class Policy:
    """The model that is trained, with all that is known about it."""

    reasoner: TransformersReasoner
    wording: Wording
    """How queries are put into words."""
    config: CheckpointConfig
    """How it is prompted; goes into the `thinkseg.json` of every checkpoint."""

    @property
    def answer_format(self) -> AnswerFormat:
        """In which it answers."""
        return self.wording.answer_format

    def write_config(self, folder: Path) -> None:
        """Write its `thinkseg.json`."""
        # How the encoder computes is a matter of this machine.
        write_config(self.config.replaced(segmenter_encoder=None), folder)

    def describe(self, folder: Path) -> None:
        """Write all that is known beside the weights; the trainer writes its part of it only beside whole ones."""
        self.write_config(folder)
        if not any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
            self.reasoner.model.config.save_pretrained(folder)
            self.reasoner.model.generation_config.save_pretrained(folder)
            self.reasoner.processor.save_pretrained(folder)


def load_policy(recipe: Recipe, device: str = "cpu") -> Policy:
    """Load the model of a recipe, on the CPU: the trainer places it.

    Args:
        recipe: of the run.
        device: on which a model in 4 bits is loaded.

    Raises:
        CheckpointError: the model cannot be loaded, or cannot be trained this way.
        RecipeError: nothing says in which format it answers.
    """
    config = resolve_config(recipe.model.path, recipe.checkpoint_config())
    if config.format is None:
        raise RecipeError(
            f"nothing says in which format '{recipe.model.path}' is to answer; give the recipe a 'format'"
        )
    lora = recipe.model.lora
    if lora is not None and lora.bits is not None:
        if recipe.model.new_tokens:
            raise RecipeError(
                "'model.new_tokens' grows layers that 'model.lora.bits' keeps as they are in the files; begin with a "
                "stage that saves the tokens (train sft), or leave out 'model.lora.bits'"
            )
        # Weights are put into 4 bits on the device on which they are used.
        reasoner = load_reasoner(recipe.model.path, config, device=device, dtype=recipe.model.dtype, in_4_bits=True)
    else:
        # Mixed precision wants its master weights whole; a recipe that has no room for them says bfloat16.
        dtype = "float32" if recipe.model.dtype == "auto" else recipe.model.dtype
        reasoner = load_reasoner(recipe.model.path, config, device="cpu", dtype=dtype)
    return create_policy(recipe, config, reasoner)


def create_policy(recipe: Recipe, config: CheckpointConfig, reasoner: TransformersReasoner) -> Policy:
    """A model that is at hand, made ready for a recipe.

    Args:
        recipe: to train it by.
        config: how it is prompted, its format among it.
        reasoner: the model; its weights and settings are changed as the recipe says.

    Raises:
        CheckpointError: it cannot be trained this way.
    """
    keep_statistics(reasoner.model)
    if recipe.model.freeze_vision:
        freeze_vision(reasoner)
    added = add_tokens(reasoner.model, reasoner.processor.tokenizer, recipe.model.new_tokens or {})
    if added and recipe.start_share:
        raise RecipeError(
            f"'start_share' mixes weights with the start's, which has none for the new token '{added[0]}': train the "
            "tokens in a stage of their own first"
        )
    wording = wording_for(recipe.model.path, config, required=recipe.sentences is not None)
    if not wording.identity:  # what it is trained with is what its folder says
        config = config.replaced(sentences=None)
    policy = Policy(reasoner, wording, config)
    check_text(reasoner, wording)
    _decode_plainly(reasoner.model)
    return policy


def keep_statistics(model: Any) -> None:
    """Let batch normalisation go by the checkpoint's statistics in training, too, and leave these as they are.

    Those of a step's few images would be others: what a completion is sampled from would not be what is trained.

    Args:
        model: whose vision tower may have such layers (FastVLM's has).
    """
    from torch.nn.modules.batchnorm import _BatchNorm

    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.eval()
            module.train = MethodType(_unchanged, module)  # type: ignore[method-assign]


def freeze_vision(reasoner: TransformersReasoner) -> None:
    """Leave the weights of the vision tower out of training; what its family counts among them.

    Raises:
        RecipeError: no weight of this model is one of them.
    """
    pattern = re.compile(reasoner.family.vision_tower)
    tower = [weight for name, weight in reasoner.model.named_parameters() if pattern.match(name)]
    if not tower:
        raise RecipeError(
            f"'model.freeze_vision' finds no weights of a vision tower by the name {pattern.pattern!r}; leave it out, "
            "or name a family whose 'vision_tower' matches them"
        )
    for weight in tower:
        weight.requires_grad_(False)


def _unchanged(module: Any, mode: bool = True) -> Any:
    return module


def add_tokens(model: Any, tokenizer: Any, texts: Mapping[str, str]) -> list[str]:
    """Give a model tokens of its own for texts that it could not write, or not in one piece.

    Those that are tokens already stay as they are, so that a later stage may have the same recipe.

    Args:
        model: whose embeddings and output layer grow.
        tokenizer: of the model.
        texts: for each text another one that the model can write: the new token begins with the mean of its weights.

    Returns:
        The texts that were no tokens before.
    """
    import torch

    known = tokenizer.get_vocab()
    models = {text: tokenizer(like)["input_ids"] for text, like in texts.items() if text not in known}
    if not models:
        return []
    tokenizer.add_tokens(list(models))
    known_weights = [
        layer().weight.detach().clone() for layer in (model.get_input_embeddings, model.get_output_embeddings)
    ]
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    if len(tokenizer) > len(known_weights[0]):
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    layers = model.get_input_embeddings(), model.get_output_embeddings()
    if not tied and layers[0].weight is layers[1].weight:  # resizing ties what a nested configuration leaves open
        layers[1].weight = torch.nn.Parameter(layers[1].weight.detach().clone())
    with torch.no_grad():
        for layer, weights in zip(layers, known_weights, strict=True):
            layer.weight[: len(weights)] = weights
            for text, like in models.items():
                layer.weight[tokenizer.convert_tokens_to_ids(text)] = weights[like].mean(dim=0)
    return list(models)


def add_stop(model: Any, token: int) -> None:
    """Let this token end a completion, too, in the files that are saved as well."""
    stops = model.generation_config.eos_token_id
    known = stops if isinstance(stops, list) else [] if stops is None else [stops]
    if token not in known:
        model.generation_config.eos_token_id = [*known, token]


def _decode_plainly(model: Any) -> None:
    """Greedy and without penalties, in the files that are saved too; what ends a text stays as it was."""
    from transformers import GenerationConfig

    old = model.generation_config
    model.generation_config = GenerationConfig(
        bos_token_id=old.bos_token_id, eos_token_id=old.eos_token_id, pad_token_id=old.pad_token_id, do_sample=False
    )
