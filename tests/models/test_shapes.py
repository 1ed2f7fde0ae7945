"""Models without weights, also while a run of ZeRO 3 spreads every other model."""

import pytest
from transformers import AutoModelForImageTextToText
from transformers.integrations import deepspeed

from thinkseg.models.shapes import without_weights
from thinkseg.testing import tiny_qwen2_5_vl


class Spreading:
    """What transformers asks whether ZeRO 3 spreads models."""

    def is_zero3(self):
        return True


@pytest.fixture
def spreading():
    told = Spreading()
    deepspeed.set_hf_deepspeed_config(told)
    yield told
    deepspeed.unset_hf_deepspeed_config()


def test_models_are_whole_there_and_spread_again_behind_it(spreading):
    with without_weights():
        assert not deepspeed.is_deepspeed_zero3_enabled()
    assert deepspeed.is_deepspeed_zero3_enabled()


def test_without_such_a_run_nothing_is_spread_behind_it():
    config = tiny_qwen2_5_vl()[0].config
    with without_weights():
        model = AutoModelForImageTextToText.from_config(config)
    assert {weight.device.type for weight in model.parameters()} == {"meta"}
    assert not deepspeed.is_deepspeed_zero3_enabled()
