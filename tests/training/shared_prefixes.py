"""A trainer of reinforcement that shares prefixes, and a call of log-probabilities as TRL makes it."""

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from trl import GRPOConfig, GRPOTrainer

from thinkseg.models.reasoner import chat_messages
from thinkseg.training.runs import quiet_libraries
from thinkseg.training.shared_prefix.trainer import SharedPrefixMixin, sharing
from thinkseg.types import Instruction

LENGTH = 7
ORDER = (0, 1, 0, 0, 1, 0, 1, 1)
"""Groups as TRL's shuffle leaves them: the prompt of each row."""


class WholeGroups(SharedPrefixMixin, GRPOTrainer):
    """TRL's own log-probabilities, of parts that hold whole groups: what shared prefixes are held against."""

    _get_per_token_logps_and_entropies = GRPOTrainer._get_per_token_logps_and_entropies


def nothing(completions, **_):
    """A reward that teaches nothing."""
    return [0.0] * len(completions)


def create_trainer(parts, folder, setting="on", device="cpu", tokens=None, **settings):
    """A trainer of a model, with prefixes shared; `create`, `reward` and `samples` are what it is made of."""
    model, processor = parts
    create, reward = settings.pop("create", GRPOTrainer), settings.pop("reward", nothing)
    samples = settings.pop("samples", None) or Dataset.from_list([{"prompt": asked("it")}] * 8)
    with quiet_libraries():
        args = GRPOConfig(
            output_dir=str(folder),
            use_cpu=device == "cpu",
            bf16=settings.pop("bf16", False),
            dataloader_pin_memory=False,
            gradient_checkpointing=bool(settings.pop("gradient_checkpointing", False)),
            report_to="none",
            **{"per_device_train_batch_size": 8, "num_generations": 4, **settings},
        )
        return sharing(create, setting, tokens)(
            model=model,
            processing_class=processor,
            reward_funcs=[reward],
            args=args,
            train_dataset=samples,
        )


def asked(query):
    """A prompt."""
    return [{"role": "user", "content": query}]


def noise(numbers):
    """Two images of unequal size."""
    return [Image.fromarray(numbers.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in ((96, 64), (64, 112))]


def rows(processor, order=ORDER):
    """A call of log-probabilities as TRL makes it: two images and prompts of unequal length, unequal completions."""
    numbers = np.random.default_rng(0)
    images = noise(numbers)
    queries = ("the pig", "what is left of the tall tree")
    texts = [
        processor.apply_chat_template(chat_messages(Instruction(query)), add_generation_prompt=True, tokenize=False)
        for query in queries
    ]
    inputs = processor(
        images=[[images[number]] for number in order],
        text=[texts[number] for number in order],
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )
    completions = torch.from_numpy(numbers.integers(10, 60, (len(order), LENGTH)))
    lengths = torch.from_numpy(numbers.integers(1, LENGTH + 1, len(order)))
    lengths[1] = 0  # one that was cut off and does not count
    counts = (torch.arange(LENGTH) < lengths[:, None]).long()
    options = {"num_images": [1] * len(order)}
    for name in ("pixel_values", "image_grid_thw", "pixel_attention_mask"):
        if name in inputs:
            options[name] = inputs[name]
    if "mm_token_type_ids" in inputs and "image_grid_thw" in inputs:
        options["mm_token_type_ids"] = torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(completions)], dim=1)
    if type(processor).__name__ == "InternVLProcessor":
        options["num_tiles"] = [len(inputs["pixel_values"]) // len(order)] * len(order)
    ids = torch.cat([inputs["input_ids"], completions], dim=1)
    return (ids, torch.cat([inputs["attention_mask"], counts], dim=1), LENGTH), options


def on(device, call, options):
    """The same on a device."""
    ids, mask, length = call
    moved = {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in options.items()}
    return (ids.to(device), mask.to(device), length), moved
