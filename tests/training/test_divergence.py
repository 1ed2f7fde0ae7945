"""A run stops at the step at which its numbers are no longer finite, and nothing that is not a number is ever saved."""

import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments
from trl import SFTTrainer

from thinkseg.errors import CheckpointError
from thinkseg.training.callbacks import read_log
from thinkseg.training.config import recipe_from_settings
from thinkseg.training.divergence import FiniteOnly, TrainingDiverged, first_not_finite
from thinkseg.training.stages import Making, train_recipe

from .conftest import square

ARGS = TrainingArguments("unused", use_cpu=True, report_to="none")
NAN, INF = float("nan"), float("inf")


@pytest.fixture
def recipe(start, tmp_path):
    return recipe_from_settings(
        {
            "stage": "sft",
            "output": str(tmp_path / "run"),
            "model": {"path": str(start)},
            "steps": 4,
            "save_every": 1,
            "device": "cpu",
            "trl": {"per_device_train_batch_size": 2, "learning_rate": 1e-3, "lr_scheduler_type": "constant"},
        }
    )


def breaking(what, at):
    """Makes a trainer whose loss, gradient or weights are spoilt in its step of that number."""

    class Breaking(SFTTrainer):
        def compute_loss(self, *args, **options):
            loss = super().compute_loss(*args, **options)
            return loss * NAN if what == "loss" and self.state.global_step + 1 == at else loss

        def create_optimizer(self, *args, **options):
            optimizer = super().create_optimizer(*args, **options)
            weight = next(p for p in self.model.parameters() if p.requires_grad)
            if what == "gradient":
                weight.register_hook(lambda grad: grad * INF if self.state.global_step + 1 == at else grad)
            if what == "weight":

                def spoil(*_):
                    if self.state.global_step + 1 == at:
                        weight.data.view(-1)[0] = NAN

                optimizer.register_step_post_hook(spoil)
            return optimizer

    return Breaking


@pytest.mark.parametrize(("what", "told"), [("loss", "loss is nan"), ("gradient", "gradient"), ("weight", "weights")])
def test_a_step_that_is_not_finite_stops_the_run_and_the_last_good_checkpoint_is_named(recipe, what, told):
    with pytest.raises(TrainingDiverged, match=f"diverged at step 3: .*{told}.*'.*checkpoint-2' is the last good") as e:
        train_recipe(recipe, samples=[square(1), square(2)], making=Making(breaking(what, at=3)))
    assert (e.value.step, e.value.checkpoint) == (3, recipe.output / "checkpoint-2")
    assert not (recipe.output / "final").exists()
    assert sorted(path.name for path in recipe.output.glob("checkpoint-*")) == ["checkpoint-1", "checkpoint-2"]
    assert [record["step"] for record in read_log(recipe.output / "log.jsonl")] == [1, 2]


def test_the_run_goes_on_from_its_last_good_checkpoint(recipe):
    samples = [square(1), square(2)]
    with pytest.raises(TrainingDiverged):
        train_recipe(recipe, samples=samples, making=Making(breaking("weight", at=3)))
    assert train_recipe(recipe, samples=samples, resume=True) == recipe.output / "final"


def watched(**options):
    return FiniteOnly(options.pop("folder"), **options), TrainerState(global_step=4, max_steps=9)


def with_gradient(value):
    model = torch.nn.Linear(2, 2)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    model.bias.grad[1] = value
    return model


def test_what_overflows_under_a_scaler_is_its_business(tmp_path):
    finite, state = watched(folder=tmp_path, scaled=True)
    finite.on_pre_optimizer_step(ARGS, state, TrainerControl(), model=with_gradient(INF))
    finite.on_log(ARGS, state, TrainerControl(), logs={"grad_norm": INF})


def test_a_norm_that_overflows_stops_the_run(tmp_path):
    finite, state = watched(folder=tmp_path)
    finite.on_pre_optimizer_step(ARGS, state, TrainerControl(), model=with_gradient(1e38))
    with pytest.raises(TrainingDiverged, match="step 4: the norm of the gradient is inf; no checkpoint was saved"):
        finite.on_log(ARGS, state, TrainerControl(), logs={"grad_norm": INF})


def test_a_broken_model_is_refused_before_its_first_step(tmp_path):
    finite, state = watched(folder=tmp_path)
    model = torch.nn.Linear(2, 2)
    finite.on_train_begin(ARGS, state, TrainerControl(), model=model)
    model.weight.data[0, 1] = NAN
    with pytest.raises(CheckpointError, match=r"not finite before its first step \('weight'\)"):
        finite.on_train_begin(ARGS, state, TrainerControl(), model=model)


def test_completions_that_cannot_be_drawn_are_a_divergence_and_other_errors_stay_themselves(tmp_path):
    finite, state = watched(folder=tmp_path)
    with pytest.raises(TrainingDiverged, match="step 5: the probabilities"), finite.explaining(lambda: state):
        torch.multinomial(torch.tensor([NAN, 1.0]), 1)
    with pytest.raises(RuntimeError, match="mine"), finite.explaining(lambda: state):
        raise RuntimeError("mine")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_first_tensor_that_is_not_finite_is_named(dtype):
    good = torch.tensor([torch.finfo(dtype).max, 0.0], dtype=dtype)
    for value in (NAN, INF, -INF):
        bad = torch.tensor([1.0, value], dtype=dtype)
        assert first_not_finite([("a", good), ("b", bad), ("c", bad)]) == "b"
    assert first_not_finite([("a", good), ("none", good[:0]), ("whole", torch.ones(2, dtype=torch.int64))]) is None
    assert first_not_finite([]) is None
