"""Attention block by block is attention under the mask of all blocks, and any other attention is as it was."""

import pytest
import torch
from transformers import AttentionInterface

from thinkseg import testing
from thinkseg.models.sharing.attention import NAME, attend_in_blocks, block_mask, dense_mask
from thinkseg.models.sharing.prefix import lay_out


class Heads:
    """What transformers gives of a layer: two queries share a key."""

    num_key_value_groups = 2
    is_causal = True


@pytest.mark.parametrize("completions", [[(3, 3), (3, 3)], [(1, 4), (2,)], [(0, 4), (0,)]], ids=str)
def test_blocks_and_the_mask_are_the_same(completions):
    attend_in_blocks(testing.tiny_qwen2_5_vl()[0])
    owners = [owner for owner, mine in enumerate(completions) for _ in mine]
    mask = torch.ones(len(owners), 9, dtype=torch.bool)
    for row, length in enumerate(length for mine in completions for length in mine):
        mask[row, 5 + length :] = False
    mask[[owner == 1 for owner in owners], :4] = False  # a prompt of one token, which leaves no prefix
    layout = lay_out(mask, 4, owners)
    size = layout.tokens.shape[1]
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, heads, size, 8, requires_grad=True) for heads in (4, 2, 2))
    outputs = []
    for name, seen in ((NAME, block_mask(layout.blocks)), ("sdpa", dense_mask(layout))):
        attend = AttentionInterface()[name]
        output, _ = attend(Heads(), query, key, value, seen, scaling=0.3)
        gradients = torch.autograd.grad((output * torch.arange(8)).square().sum(), (query, key, value))
        outputs.append((output, *gradients))
    for mine, other in zip(*outputs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_a_model_that_attends_in_blocks_writes_what_it_wrote():
    model, processor = testing.tiny_qwen2_5_vl()
    inputs = processor.tokenizer(["a pig", "the tall tree"], padding=True, return_tensors="pt")
    before = model.generate(**inputs, max_new_tokens=8, do_sample=False)
    logits = model(**inputs).logits
    assert attend_in_blocks(model)
    assert torch.equal(model.generate(**inputs, max_new_tokens=8, do_sample=False), before)
    assert torch.equal(model(**inputs).logits, logits)


def test_its_files_do_not_say_so(tmp_path):
    model, _ = testing.tiny_qwen2_5_vl()
    attend_in_blocks(model)
    model.save_pretrained(tmp_path)
    assert NAME not in (tmp_path / "config.json").read_text()


def test_a_model_with_another_attention_is_left_as_it_is():
    model, _ = testing.tiny_qwen2_5_vl()
    model.config.get_text_config()._attn_implementation = "eager"
    assert not attend_in_blocks(model)
    assert model.config.get_text_config()._attn_implementation == "eager"
