"""An image that imitation computes once for all queries about it changes the time; all is held against TRL's way."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from trl import SFTConfig, SFTTrainer

from tests.sharing_families import FAMILIES
from thinkseg import testing
from thinkseg.answers import get_format
from thinkseg.errors import RecipeError
from thinkseg.models.reasoner import TransformersReasoner
from thinkseg.training.callbacks import read_log
from thinkseg.training.rows import RowBuilder, Rows, Schedule
from thinkseg.training.runs import quiet_libraries
from thinkseg.training.sft import ImitationCollator
from thinkseg.training.shared_prefix.deciding import DECISION
from thinkseg.training.shared_prefix.imitation import SharedImagesMixin, sharing_images
from thinkseg.training.shared_prefix.regrouping import batch_by_image
from thinkseg.training.shared_prefix.seam import SEAM_OF_IMITATION, moved_seam
from thinkseg.training.stages import train_recipe
from thinkseg.types import Instruction

from .conftest import square

QUERIES = ("the square", "the bright thing on the dark ground", "what is not noise", "the square")
FORMAT = get_format("seg-r1", Instruction("Where is {query}?", "Look."))


@pytest.fixture
def lessons():
    """Four queries about one image and two about another of another size, as they may come, answers of any length."""
    asked = [(image, query) for image in (square(1), square(2, size=96)) for query in QUERIES]
    samples = [
        replace(image, id=f"{image.id}-{number}", query=query) for number, (image, query) in enumerate(asked[:6])
    ]
    samples[1] = replace(samples[1], target=np.zeros_like(samples[1].target))  # whose answer is "nothing there"
    return [samples[number] for number in (0, 4, 1, 2, 5, 3)]


def create_trainer(parts, samples, folder, setting="on", *, knows_images=True, **settings):
    """A trainer of a model, with images shared."""
    model, processor = parts
    image_token = model.config.image_token_id if knows_images else None
    builder = RowBuilder(
        samples,
        Schedule(len(samples), shuffle=False),
        FORMAT,
        TransformersReasoner(model, processor),
        with_answers=True,
    )
    with quiet_libraries():
        args = SFTConfig(
            output_dir=str(folder),
            use_cpu=True,
            bf16=settings.pop("bf16", False),
            gradient_checkpointing=False,
            dataloader_pin_memory=False,
            report_to="none",
            max_length=None,
            remove_unused_columns=False,
            dataset_kwargs={"skip_prepare_dataset": True},
            **settings,
        )
        return sharing_images(SFTTrainer, setting, image_token)(
            model=model,
            processing_class=processor,
            args=args,
            train_dataset=Rows(builder, len(samples)),
            data_collator=ImitationCollator(processor),
        )


def batch_of(trainer):
    rows = trainer.train_dataset.__getitems__(list(range(len(trainer.train_dataset))))
    return dict(trainer.data_collator(rows))


def outcome(compute, trainer, inputs):
    """The loss, what is logged, and the gradient of each weight."""
    trainer.model.zero_grad()
    trainer._metrics["train"].clear()
    trainer._total_train_tokens = 0
    learnt = (inputs["labels"][:, 1:] != -100).sum()
    loss = compute(trainer.model, dict(inputs), num_items_in_batch=learnt)
    loss.backward()
    logged = {name: values[-1] for name, values in trainer._metrics["train"].items()}
    weights = trainer.model.named_parameters()
    return loss.item(), logged, {name: weight.grad.clone() for name, weight in weights if weight.grad is not None}


@pytest.mark.parametrize("loss_type", ["nll", "dft"])
@pytest.mark.parametrize("family", FAMILIES)
def test_loss_gradients_and_what_is_logged_are_the_same(family, loss_type, lessons, tmp_path):
    trainer = create_trainer(FAMILIES[family](), lessons, tmp_path, loss_type=loss_type)
    trainer.model.train()
    for module in trainer.model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # of FastVLM's tower, whose mean is over images and their copies
            module.eval()
    inputs = batch_of(trainer)
    loss, logged, gradients = outcome(super(SharedImagesMixin, trainer).compute_loss, trainer, inputs)
    seen = []
    hook = trainer.model.get_input_embeddings().register_forward_hook(lambda _, args, __: seen.append(args[0].numel()))
    shared_loss, shared_logged, shared_gradients = outcome(trainer.compute_loss, trainer, inputs)
    hook.remove()
    assert trainer._measured
    assert seen[-1] < 0.9 * inputs["attention_mask"].sum()  # the last pass is of the packed row
    assert shared_loss == pytest.approx(loss, rel=1e-5)
    assert shared_logged == pytest.approx(logged, rel=1e-4)
    assert logged["num_tokens"] == inputs["attention_mask"].sum()
    assert gradients.keys() == shared_gradients.keys()
    wrong = sum((shared_gradients[name] - gradients[name]).square().sum() for name in gradients)
    assert (wrong / sum(value.square().sum() for value in gradients.values())).sqrt() < 1e-4


def test_rows_of_images_that_do_not_come_again_go_trls_way_to_the_bit(tmp_path):
    samples = [square(index) for index in range(4)]
    trainer = create_trainer(testing.tiny_qwen2_5_vl(), samples, tmp_path)
    inputs = batch_of(trainer)
    expected = outcome(super(SharedImagesMixin, trainer).compute_loss, trainer, inputs)
    found = outcome(trainer.compute_loss, trainer, inputs)
    assert not trainer._measured
    assert found[0] == expected[0]
    assert all(torch.equal(found[2][name], gradient) for name, gradient in expected[2].items())


@pytest.mark.parametrize(
    ("family", "settings", "reason"),
    [
        ("qwen2_5_vl", {"neftune_noise_alpha": 5.0}, "noise on embeddings"),
        ("fast_vlm", {}, "a mean over images"),
        ("qwen2_5_vl", {"use_liger_kernel": True}, "the kernels of 'trl.use_liger_kernel'"),
        ("qwen3_5", {}, r"log-probabilities differ by [\d.]+, and at most 0\.001 would be rounding"),
    ],
)
@pytest.mark.filterwarnings("ignore:`use_liger_kernel=True` is deprecated:FutureWarning")
def test_what_is_not_the_same_is_found_out_and_told(family, settings, reason, lessons, tmp_path, capsys):
    parts = getattr(testing, f"tiny_{family}")()
    trainer = create_trainer(parts, lessons, tmp_path, "auto", **settings)
    trainer.model.train()
    inputs = batch_of(trainer)
    found = outcome(trainer.compute_loss, trainer, inputs)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("thinkseg:")]
    assert line.startswith("thinkseg: each row is computed with an image and a prompt of its own: ")
    assert re.search(reason, line)
    expected = outcome(super(SharedImagesMixin, trainer).compute_loss, trainer, inputs)
    assert found[0] == expected[0]
    trainer = create_trainer(parts, lessons, tmp_path, "on", **settings)
    with pytest.raises(RecipeError, match=r"'shared_prefix: on' cannot be kept: .*; say 'shared_prefix: auto'$"):
        outcome(trainer.compute_loss, trainer, inputs)


def test_a_family_that_names_no_token_of_images_learns_as_trl_has_it(lessons, tmp_path, capsys):
    trainer = create_trainer(testing.tiny_qwen2_5_vl(), lessons, tmp_path, "auto", knows_images=False)
    inputs = batch_of(trainer)
    found = outcome(trainer.compute_loss, trainer, inputs)
    assert "which tokens stand for which image is not known" in capsys.readouterr().err
    assert found[0] == outcome(super(SharedImagesMixin, trainer).compute_loss, trainer, inputs)[0]


@pytest.mark.parametrize(
    "inputs",
    [
        {"pixel_values": torch.zeros(2, 3, 4, 4)},  # three pieces of one image, and one of another as large
        {"pixel_values": torch.zeros(2, 3, 4, 4), "input_ids": torch.tensor([[5, 7, 7, 7], [5, 5, 5, 5]])},
        {},
    ],
)
def test_images_that_tokens_do_not_tell_apart_are_left_to_trl(inputs):
    ids = torch.tensor([[5, 7, 7, 7], [5, 5, 7, 5]])
    rows = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
    assert batch_by_image({**rows, **inputs}, 7) is None


def test_half_precision_stays_within_its_rounding(lessons, tmp_path):
    trainer = create_trainer(testing.tiny_qwen2_5_vl(), lessons, tmp_path, bf16=True)
    trainer.model.train()
    inputs = batch_of(trainer)
    expected = outcome(super(SharedImagesMixin, trainer).compute_loss, trainer, inputs)
    assert outcome(trainer.compute_loss, trainer, inputs)[0] == pytest.approx(expected[0], rel=1e-2)


def test_the_seam_in_trl_is_where_this_release_has_it():
    """When this fails, TRL has moved what shared images go by: see `thinkseg.training.shared_prefix.seam`."""
    assert moved_seam(SFTTrainer, SEAM_OF_IMITATION) is None
    assert sharing_images(SFTTrainer, "off", 7) is SFTTrainer


RUNS = {
    "parts of a step": ({"gradient_accumulation_steps": 2}, {}),
    "adapters": ({"learning_rate": 1e-2}, {"lora": {"r": 4, "dropout": 0.0}}),
    "less memory": ({"gradient_checkpointing": True}, {}),
}


@pytest.mark.parametrize("run", RUNS)
def test_losses_and_weights_after_three_steps_are_those_of_trl(run, sft_recipe, lessons, tmp_path):
    trl, model = RUNS[run]
    finals, logs = [], []
    for setting in ("off", "auto"):
        recipe = sft_recipe(
            output=str(tmp_path / setting),
            model={"path": sft_recipe().model.path} | model,
            data={"shuffle": "images"},
            trl={"per_device_train_batch_size": 3, **trl},
            steps=3,
            shared_prefix=setting,
        )
        finals.append(load_file(train_recipe(recipe, samples=lessons) / "model.safetensors"))
        logs.append(read_log(recipe.output / "log.jsonl"))
    decided = json.loads((tmp_path / "auto" / "checkpoint-3" / DECISION).read_text())
    assert decided == {"setting": "auto", "shared": True, "reason": None}
    for mine, other in zip(*logs, strict=True):
        assert mine["grad_norm"] > 1e-3
        for name in ("loss", "grad_norm", "entropy", "mean_token_accuracy", "num_tokens"):
            assert other[name] == pytest.approx(mine[name], rel=1e-3), name
    for name, tensor in finals[0].items():
        torch.testing.assert_close(finals[1][name], tensor, rtol=1e-3, atol=1e-5)
