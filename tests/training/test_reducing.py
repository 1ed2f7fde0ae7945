"""DDP adds up the gradients of a pass that went forward while it was told not to; one that has moved is left alone."""

from types import SimpleNamespace

import pytest
import torch
from torch.distributed import HashStore
from torch.nn.parallel import DistributedDataParallel

from thinkseg import testing
from thinkseg.training.shared_prefix.reducing import SEAM_OF_DDP, add_up_next, moved_reducer

from .shared_prefixes import create_trainer, rows


class OneOfTwo(torch.nn.Module):
    """Two layers, one of which another process may use, or nobody."""

    def __init__(self):
        super().__init__()
        self.used, self.other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)

    def forward(self, inputs):
        return self.used(inputs)


@pytest.fixture
def spread():
    """A model of DDP's, in a group of one process, and how often its gradients were added up."""
    torch.distributed.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    added = []

    def add_up(state, bucket):
        added.append(bucket.buffer().numel())
        done = torch.futures.Future()
        done.set_result(bucket.buffer())
        return done

    found = DistributedDataParallel(OneOfTwo(), find_unused_parameters=True)
    found.register_comm_hook(None, add_up)
    yield found, added
    torch.distributed.destroy_process_group()


def test_the_seam_in_pytorch_is_where_this_release_has_it(spread):
    """When this fails, PyTorch has moved what passes filled by tokens go by: see `shared_prefix.reducing`."""
    assert SEAM_OF_DDP == ("reducer", "prepare_for_backward")
    assert moved_reducer(spread[0]) is None


def test_gradients_are_added_up_once_it_is_said(spread):
    model, added = spread
    inputs = torch.ones(4, 3)
    for said in (False, True):
        with model.no_sync():
            output = model(inputs)
        if said:
            add_up_next(model, [output])
        output.sum().backward()
        assert sum(added) == (16 if said else 0)  # of both layers
    assert model.module.used.weight.grad.tolist() == [[8.0] * 3] * 2


def test_a_pytorch_that_has_moved_it_is_told_and_goes_a_micro_batch_at_a_time(spread, tmp_path, capsys):
    model, _ = spread
    trainer = create_trainer(testing.tiny_qwen2_5_vl(), tmp_path, tokens=100)
    call, options = rows(trainer.processing_class)
    model.reducer = SimpleNamespace()
    assert moved_reducer(model) == "there is no 'reducer.prepare_for_backward'"
    for _ in range(2):  # told once
        assert trainer._budget(model) is None
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("thinkseg:")]
    assert line == (
        f"thinkseg: PyTorch {torch.__version__} adds gradients up over processes in another way than ThinkSeg knows "
        "(there is no 'reducer.prepare_for_backward'): 'tokens_per_pass' has no effect, each micro-batch goes through "
        "the model on its own"
    )
    logps = trainer._get_per_token_logps_and_entropies(trainer.model, *call, **options)[0]
    assert logps.requires_grad
    assert trainer._pass is None
    del model.reducer
    assert moved_reducer(model) == "there is no 'reducer'"


def test_a_model_in_one_process_has_nothing_to_be_told():
    assert moved_reducer(torch.nn.Linear(1, 1)) is None
    add_up_next(torch.nn.Linear(1, 1), [])
