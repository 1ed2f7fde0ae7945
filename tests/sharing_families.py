"""Tiny models of the families whose rows share what they begin with."""

from thinkseg import testing

FAMILIES = {
    "qwen2_vl": testing.tiny_qwen2_vl,
    "qwen2_5_vl": testing.tiny_qwen2_5_vl,
    "qwen3_vl": testing.tiny_qwen3_vl,
    "internvl": testing.tiny_internvl,
    "smolvlm": testing.tiny_smolvlm,
    "fast_vlm": testing.tiny_fast_vlm,
}
