"""In a training whose samples come again, the segmenter encodes an image once as long as there is room for it."""

from typing import Any

import pytest

from thinkseg.models.segmenter import PromptableSegmenter
from thinkseg.testing import tiny_sam2
from thinkseg.training import grpo
from thinkseg.training.policy import load_policy
from thinkseg.training.runs import quiet_libraries
from thinkseg.training.stage import PreparedRun
from thinkseg.types import Sample

TEXT = "<think>it</think><bbox>[10,10,50,50]</bbox><points>[[30,30]]</points><labels>[1]</labels>"


@pytest.mark.parametrize(("steps", "memory", "encoded"), [(6, 256, [1]), (6, 0, [1, 1]), (1, 256, [1, 1])])
def test_an_image_that_comes_again_is_encoded_again_only_where_nothing_is_kept(
    rl_recipe: Any, squares: list[Sample], steps: int, memory: int, encoded: list[int]
) -> None:
    model, processor = tiny_sam2()
    seen: list[int] = []
    encode = model.get_image_embeddings
    model.get_image_embeddings = lambda pixels: (seen.append(len(pixels)), encode(pixels))[1]
    recipe = rl_recipe(steps=steps, segmenter_memory=memory)
    with quiet_libraries():
        args = grpo.arguments(recipe)
    plan = grpo.plan_run(recipe, args, len(squares))  # 2 prompts a step, of 6 samples
    run = PreparedRun(recipe, args, plan, load_policy(recipe), squares, PromptableSegmenter(model, processor))
    given: dict[str, Any] = {}
    grpo.create_trainer(run, lambda **settings: given.update(settings))
    segment, *_ = given["reward_funcs"]
    rows = {"image": [squares[0].image] * 2, "target": [squares[0].target] * 2, "frame": [(64, 64)] * 2}
    first, again = (segment(completions=[TEXT, TEXT], **rows) for _ in range(2))
    assert first == again
    assert seen == encoded
