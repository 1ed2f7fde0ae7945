"""A reasoner on vLLM's offline engine: all requests at once, batched by its scheduler, equal images encoded once.

>>> reasoner = load_offline_vllm("Qwen/Qwen2.5-VL-7B-Instruct", config, {"tensor_parallel_size": 2})  # doctest: +SKIP

Prompts, frames, sizes of images and the reading of tokens are those of `TransformersReasoner`, from which this one
derives; only the tokens come from vLLM. What vLLM has read of a prompt is held against the processor's tokens, once a
size of images. Memory of prompts that begin alike is shared (prefix caching).
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from thinkseg import stopwatch
from thinkseg.answers.patterns import AnswerPattern
from thinkseg.errors import InputError, MissingExtraError, reason_of
from thinkseg.models import loading
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.models.engines.sight import sampling_of
from thinkseg.models.folders import check_folder
from thinkseg.models.listening import Listener
from thinkseg.models.reasoner import TransformersReasoner, opened_thinking
from thinkseg.models.reasoner_loading import described_parts
from thinkseg.models.resizing import ImageResizer
from thinkseg.types import Completion, Request

NEVER = -100.0
"""The lowest bias that vLLM takes of a token: it loses a factor of e^100."""

_OURS = ("model", "tokenizer", "trust_remote_code", "limit_mm_per_prompt", "hf_overrides", "runner", "task")
"""Arguments of `vllm.LLM` that are not an option's to change."""


class VllmReasoner(TransformersReasoner):
    """A `Reasoner` whose tokens come from vLLM.

    Args:
        engine: a `vllm.LLM`.
        model: what is known of its model, as `described_parts` gives it.
        processor: the checkpoint's.
        pattern: what it may write, where the format is enforced.
        options: as for `TransformersReasoner`.
    """

    def __init__(
        self, engine: Any, model: Any, processor: Any, *, pattern: AnswerPattern | None = None, **options: Any
    ) -> None:
        super().__init__(model, processor, **options)
        self.engine = engine
        self.pattern = pattern
        self._compared: set[tuple[int, int]] = set()

    def _complete(
        self, requests: Sequence[Request], count: int, decoding: Mapping[str, Any], listen: Listener | None = None
    ) -> list[list[Completion]]:
        if not requests:
            return []
        prompts = [self.prompt(request.instruction) for request in requests]
        resizer = ImageResizer(self)
        shown = {key: resizer.resize(image) for key, image in {id(r.image): r.image for r in requests}.items()}
        images = [shown[id(request.image)] for request in requests]
        asked = [
            {"prompt": prompt, "multi_modal_data": {"image": image}}
            for prompt, image in zip(prompts, images, strict=True)
        ]
        parameters = [self._parameters(prompt, count, dict(decoding)) for prompt in prompts]
        outputs = self.engine.generate(asked, parameters, use_tqdm=False)
        completions = []
        for prompt, image, output in zip(prompts, images, outputs, strict=True):
            self._compare(prompt, image, output.prompt_token_ids)
            written = [self._until_stop(list(own.token_ids)) for own in output.outputs]
            stopwatch.count("tokens", sum(map(len, written)))
            completions.append([self._completion(prompt, tokens) for tokens in written])
        if listen is not None:
            for number, own in enumerate(completions):
                listen(number, own[0].text)
        return completions

    def _parameters(self, prompt: str, count: int, decoding: dict[str, Any]) -> Any:
        """How one prompt is answered: never by the checkpoint's own settings alone, which may have a penalty."""
        vllm = importlib.import_module("vllm")
        enforced = {}
        if self.pattern is not None:
            params = importlib.import_module("vllm.sampling_params").StructuredOutputsParams
            enforced = {"structured_outputs": params(regex=self.pattern.after(opened_thinking(prompt)))}
        return vllm.SamplingParams(
            n=count,
            max_tokens=self.max_new_tokens,
            stop_token_ids=sorted(self._stop_ids),
            logit_bias=dict.fromkeys(sorted(self.vision_token_ids), NEVER) or None,
            detokenize=self.pattern is not None,
            **sampling_of(decoding),
            **enforced,
        )

    def _compare(self, prompt: str, shown: Image.Image, read: Sequence[int]) -> None:
        """See that vLLM reads a prompt as the processor writes it, once a size of images.

        Raises:
            InputError: it makes another size of an image, so that coordinates would be in another frame.
        """
        if shown.size in self._compared:
            return
        own = self.processor(images=[[shown]], text=[prompt])["input_ids"][0]
        if len(own) != len(read):
            raise InputError(
                f"vLLM makes {len(read)} tokens of a prompt that has {len(own)} by the checkpoint's processor, for an "
                f"image of {shown.width}×{shown.height}: it resizes images otherwise, so that coordinates would mean "
                "other places; leave out --min-pixels and --max-pixels, or ask it by transformers"
            )
        self._compared.add(shown.size)


def refuse_unknown(name: str, config: Any, architectures: Collection[str]) -> None:
    """Refuse a model that vLLM has no code of its own for, before an engine is started.

    Args:
        name: what the model is called.
        config: of the model, as transformers reads it.
        architectures: that vLLM knows.

    Raises:
        InputError: it is none of these.
    """
    own = config.architectures or ()
    if not any(architecture in architectures for architecture in own):
        raise InputError(
            f"vLLM has no code for '{name}', a model of the kind {config.model_type}"
            f"{f' ({own[0]})' if own else ''}: leave out --reasoner-engine, by which transformers writes the text, or "
            "let vLLM try transformers' code with --engine-option model_impl=transformers"
        )


def load_offline_vllm(
    name: str | Path,
    config: CheckpointConfig,
    options: Mapping[str, Any] | None = None,
    pattern: AnswerPattern | None = None,
    *,
    device: str = "auto",
    dtype: str = "auto",
) -> VllmReasoner:
    """Load a reasoner on vLLM's offline engine.

    Args:
        name: as for `load_reasoner`.
        config: as for `load_reasoner`.
        options: keyword arguments of `vllm.LLM`, such as ``tensor_parallel_size`` or ``gpu_memory_utilization``.
        pattern: what it may write, where the format is enforced.
        device: ``"auto"``: vLLM takes the devices that it was built for, as CUDA_VISIBLE_DEVICES shows them.
        dtype: of the weights, as for `load_reasoner`; float32 on a CPU.

    Raises:
        MissingExtraError: vLLM is not installed.
        CheckpointError: as `load_reasoner`.
        InputError: an option is not one's to give, or vLLM does not know this model or cannot run it.
    """
    own = [key for key in options or () if key in _OURS]
    if own:
        raise InputError(f"'{own[0]}' is no option of vLLM to give here: the checkpoint is named with --model")
    try:
        vllm = importlib.import_module("vllm")
    except ModuleNotFoundError as error:
        raise MissingExtraError("vllm", "vllm", "to write text with vLLM") from error
    kind = importlib.import_module("vllm.platforms").current_platform.device_type
    if device not in ("auto", kind):
        raise InputError(
            f"vLLM is built for '{kind}' here and takes the devices that it sees; leave out --device {device}, and "
            "choose cards with CUDA_VISIBLE_DEVICES"
        )
    source = loading.locate(name, "reasoner")
    check_folder(source)
    model, processor, known = described_parts(source, config)
    if (options or {}).get("model_impl") != "transformers":
        refuse_unknown(str(name), model.config, vllm.ModelRegistry.get_supported_archs())
    arguments: dict[str, Any] = {
        "model": source,
        "dtype": ("float32" if kind == "cpu" else "auto") if dtype == "auto" else dtype,
        "limit_mm_per_prompt": {"image": 1},
        "enable_prefix_caching": True,
        "seed": 0,
        "disable_log_stats": True,
        **(options or {}),
    }
    limits = {"min_pixels": config.min_pixels, "max_pixels": config.max_pixels}
    if said := {key: value for key, value in limits.items() if value is not None}:
        arguments.setdefault("mm_processor_kwargs", said)
    try:
        engine = vllm.LLM(**arguments)
    except Exception as error:  # another project's, with errors of every kind
        raise InputError(
            f"vLLM cannot run '{name}' here ({reason_of(error)}); --engine-option has its settings, and without "
            "--reasoner-engine transformers writes the text"
        ) from error
    return VllmReasoner(engine, model, processor, pattern=pattern, **known)
