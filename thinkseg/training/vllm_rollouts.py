"""Sampling with vLLM inside TRL: what cannot work is said beforehand, and vLLM gets the prompts that are trained on.

TRL hands vLLM prompts in which an image already is as many tokens as it has patches. On the same cards (`colocate`)
vLLM takes the first of them for the whole image and puts all of them in its place, so that an image of N tokens
becomes 2 N - 1 and the completions answer another prompt than the one that is trained on (TRL's issue 6294). So every
image is one token again on its way to vLLM, and what vLLM made of a prompt is compared with the prompt. A server is
given the images' places, and needs nothing of this.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from thinkseg.errors import RecipeError

_VLLM_CODE = ("trl.generation.vllm", "vllm.")
"""Where an error comes from that is vLLM's, or about reaching it."""


def refuse_impossible_vllm(args: Any) -> None:
    """Refuse options of vLLM that this machine, or this number of processes, does not have.

    Args:
        args: TRL's `GRPOConfig`.

    Raises:
        RecipeError: weights cannot travel to a server, memory cannot be given back, or there are too few processes.
    """
    if not args.use_vllm:
        return
    kind = args.device.type
    if args.vllm_mode == "server":
        if kind != "cuda":
            raise RecipeError(
                "'trl.vllm_mode: server' needs a CUDA GPU for training, too, since TRL sends the weights to the server "
                f"over NCCL, and this run trains on '{kind}'; say --trl.vllm_mode colocate or --trl.use_vllm false"
            )
        return
    if args.vllm_enable_sleep_mode and kind in ("cpu", "mps"):
        raise RecipeError(
            "'trl.vllm_enable_sleep_mode' needs a GPU whose memory vLLM can give back, and this run trains on "
            f"'{kind}'; say --trl.vllm_enable_sleep_mode false"
        )
    size, processes = args.vllm_tensor_parallel_size, args.world_size
    if processes % size:
        raise RecipeError(
            f"'trl.vllm_tensor_parallel_size' is {size}, which does not divide the number of processes of this run "
            f"({processes}); start a multiple of {size} with accelerate launch, or say "
            "--trl.vllm_tensor_parallel_size 1"
        )


def refuse_grown_vocabulary(model: Any) -> None:
    """Refuse a model with tokens that its folder lacks, which is what vLLM reads before it is given the weights.

    Args:
        model: as it is to be trained.

    Raises:
        RecipeError: its embeddings have grown.
    """
    from transformers import AutoConfig

    saved = AutoConfig.from_pretrained(model.name_or_path).get_text_config().vocab_size
    own = model.config.get_text_config().vocab_size
    if own != saved:
        raise RecipeError(
            f"'model.new_tokens' has let the model grow to {own} tokens, and vLLM reads its folder, which has {saved}; "
            "begin with a stage that saves the tokens (train sft), or say --trl.use_vllm false"
        )


@contextmanager
def vllm_explained(mode: str) -> Iterator[None]:
    """Turn what goes wrong while vLLM is started or reached into one sentence; other errors pass.

    Args:
        mode: ``"colocate"`` or ``"server"``.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        frames = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__))
        if not any(name.startswith(_VLLM_CODE) for name in frames):
            raise
        what = "vLLM's server cannot be used" if mode == "server" else "vLLM cannot be started beside the model"
        raise RecipeError(
            f"{what}: {' '.join(str(error).split())}; docs/memory.md has its options, and --trl.use_vllm false samples "
            "without it"
        ) from error


def collapse_image_tokens(generation: Any, image: int | None) -> None:
    """Let vLLM see every image of a prompt once, and check that it read the prompt that is trained on.

    Args:
        generation: TRL's `VLLMGeneration` in the mode ``"colocate"``; its `generate` is replaced.
        image: the token that stands for a piece of an image; None where a model has none, and nothing is done.
    """
    if image is None:
        return
    generate = generation.generate

    def generate_from_whole_images(prompts: Sequence[list[int]], *args: Any, **options: Any) -> Any:
        handed = [images_as_one_token(prompt, image) for prompt in prompts]
        output = generate(handed, *args, **options)
        for prompt, whole, read in zip(prompts, handed, output[0], strict=True):
            # A TRL that has learnt to make one token of an image leaves nothing to compare with.
            if list(read) != list(prompt) != whole:
                raise RecipeError(
                    f"vLLM made {len(read)} tokens of a prompt of {len(prompt)}, {read.count(image)} of them an "
                    f"image's and not {prompt.count(image)}: it reads images as the model's folder says, not the "
                    "recipe; leave out 'images.min_pixels' and 'images.max_pixels', or say --trl.use_vllm false"
                )
        return output

    generation.generate = generate_from_whole_images


def images_as_one_token(prompt: Sequence[int], image: int) -> list[int]:
    """A prompt with one token for each image, in place of one for each piece of it.

    Args:
        prompt: token ids; images are apart from one another.
        image: the token that stands for a piece.
    """
    return [*prompt[:1], *(after for before, after in pairwise(prompt) if before != image or after != image)]
