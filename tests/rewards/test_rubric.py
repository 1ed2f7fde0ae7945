"""The rubric: parse once, segment once, score every part; and what TRL sees of it."""

import json

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import SegR1, get_format
from thinkseg.errors import InputError, RecipeError
from thinkseg.rewards import PARTS, PUBLISHED, Rubric, Truth, published_rewards, share_abstentions, share_parse_failures
from thinkseg.types import Answer, Box, Completion, FinishReason, ObjectPrompt, Point, Size

FRAME = Size(40, 30)
HIT = "<think>a</think><bbox>[10,5,19,14]</bbox><points></points><labels></labels>"
MISS = HIT.replace("[10,5,19,14]", "[30,20,39,29]")
NOTHING = "<think>a</think><bbox></bbox><points></points><labels></labels>"
TARGET = np.zeros((30, 40), bool)
TARGET[5:15, 10:20] = True


def create_image(shade=0):
    return Image.new("RGB", (40, 30), (shade, shade, shade))


@pytest.fixture
def rubric(segmenter):
    return Rubric(SegR1(), {"segment": 2.0, "format": 1.0}, segmenter)


def columns(images, frames=None):
    return {
        "prompts": ["?"] * len(images),
        "completion_ids": [[1]] * len(images),
        "image": images,
        "target": [TARGET] * len(images),
        "frame": frames or [[40, 30]] * len(images),
        "task": ["salient"] * len(images),
        "trainer_state": object(),
    }


def test_a_reward_has_every_part_and_their_weighted_sum(rubric):
    truth = Truth(mask=TARGET, image=create_image())
    good, bad = rubric.score([Completion(HIT), Completion("?", FinishReason.LENGTH)], [truth] * 2, [FRAME] * 2)
    assert good.parts == {"segment": pytest.approx(1), "format": 1}
    assert good.total == pytest.approx(3)
    assert bad.parts == {"segment": 0, "format": 0}


def test_each_image_is_encoded_once_and_each_distinct_answer_segmented_once(rubric, segmenter):
    """Defect 6: an image was encoded for every completion and every box."""
    same = create_image()
    images = [same, create_image(), same, create_image(9)]
    texts = [HIT, HIT, MISS, HIT]
    rubric.score(texts, [Truth(mask=TARGET, image=image) for image in images], [FRAME] * 4)
    assert [len(answers) for answers in segmenter.calls] == [2, 1]


def test_what_says_nothing_or_cannot_be_read_is_not_sent_to_the_segmenter(rubric, segmenter):
    rubric.score([NOTHING, "?"], [Truth(mask=TARGET, image=create_image())] * 2, [FRAME] * 2)
    assert segmenter.calls == []


def test_the_masks_follow_their_completions_in_a_mixed_batch(rubric):
    images = [create_image(shade) for shade in (1, 2, 1, 2, 3)]
    texts = [HIT, MISS, "?", HIT, NOTHING]
    rewards = rubric.score(texts, [Truth(mask=TARGET, image=image) for image in images], [FRAME] * 5)
    found = [reward.parts["segment"] for reward in rewards]
    assert [value > 0.9 for value in found] == [True, False, False, True, False]


def test_an_unknown_part_is_told_the_nearest_and_none_the_known_ones():
    with pytest.raises(RecipeError, match=r"no part of the reward 'segmnt': did you mean 'segment'\?"):
        Rubric(SegR1(), {"segmnt": 1.0})
    with pytest.raises(RecipeError, match=r"segment, .*accuracy, found none"):
        Rubric(SegR1(), {})


def test_every_published_rubric_is_made_of_known_parts_and_a_known_format():
    for name, published in PUBLISHED.items():
        rubric = Rubric(get_format(published.format), published.weights)
        assert set(rubric.weights) <= set(PARTS)
        assert published_rewards(name) == published
        assert published_rewards(published.format).format == published.format
    with pytest.raises(RecipeError, match="seg-zero-soft"):
        published_rewards("seg-r9")


def test_trl_gets_one_function_per_part_named_after_it_in_the_order_of_the_weights(rubric):
    assert [function.__name__ for function in rubric.reward_functions()] == ["segment", "format"]


def test_the_first_function_scores_the_batch_and_the_others_look_it_up(rubric, segmenter):
    segment, form = rubric.reward_functions()
    completions = [HIT, MISS, "?"]
    batch = columns([create_image()] * 3)
    assert segment(completions=completions, **batch)[::2] == [pytest.approx(1), 0]
    assert form(completions=completions, **batch) == [1, 1, 0]
    assert len(segmenter.calls) == 1


def test_another_list_is_another_batch_even_when_it_is_equal_or_at_the_same_address(rubric, segmenter):
    _, form = rubric.reward_functions()
    for count in range(1, 6):
        completions = [HIT]
        form(completions=completions, **columns([create_image()]))
        del completions
        assert len(segmenter.calls) == count


def test_completions_may_be_messages_of_a_conversation(rubric):
    _, form = rubric.reward_functions()
    completions = [
        [{"role": "assistant", "content": HIT}],
        [{"role": "assistant", "content": [{"type": "text", "text": HIT}]}],
        [{"role": "assistant", "content": "?"}],
    ]
    assert form(completions=completions, **columns([create_image()] * 3)) == [1, 1, 0]


def test_a_frame_that_is_not_the_image_is_rescaled_by_the_segmenter_and_read_from_its_column(segmenter):
    segment, _ = Rubric(SegR1(), {"segment": 1.0, "format": 1.0}, segmenter).reward_functions()
    segment(completions=[HIT], **columns([create_image()], frames=[[80, 60]]))
    assert segmenter.calls[0][0].frame == Size(80, 60)


def test_without_a_column_the_frame_is_asked_of_the_model(rubric, segmenter):
    batch = columns([create_image()])
    del batch["frame"]
    segment, _ = rubric.reward_functions(frame_of=lambda image: Size(image.width * 2, image.height))
    segment(completions=[HIT], **batch)
    assert segmenter.calls[0][0].frame == Size(80, 30)
    segment, _ = rubric.reward_functions()
    with pytest.raises(InputError, match="column 'frame'"):
        segment(completions=[HIT], **batch)


def test_the_truth_may_come_from_columns_of_ones_own(rubric):
    def truth_of(columns, index):
        return Truth(mask=columns["silhouette"][index], image=columns["image"][index])

    segment, _ = rubric.reward_functions(truth_of=truth_of)
    batch = columns([create_image()])
    batch["silhouette"], batch["target"] = [~TARGET], [None]
    assert segment(completions=[HIT], **batch)[0] < 0.3


def test_shares_of_parse_failures_and_abstentions_are_logged_beside_the_rewards(rubric):
    metrics, extras = {}, {}
    segment, form = rubric.reward_functions()
    batch = columns([create_image()] * 4) | {"log_metric": metrics.__setitem__, "log_extra": extras.__setitem__}
    completions = [HIT, "?", NOTHING, NOTHING]
    segment(completions=completions, **batch)
    assert metrics == {"parse_failures": 0.25, "abstentions": 0.5}
    assert [bool(reason) for reason in extras["malformed"]] == [False, True, False, False]
    metrics.clear()
    form(completions=completions, **batch)
    assert metrics == {}


def test_scores_are_plain_numbers_that_json_can_write(segmenter):
    """Defect 15: a NumPy integer broke the final dump, and the results of a shard were lost."""
    rubric = Rubric(SegR1(), dict.fromkeys(PARTS, 1.0), segmenter)
    box = ObjectPrompt(Box(10.0, 5.0, 19.0, 14.0), (Point(12.0, 9.0), Point(15.0, 9.0)))
    truth = Truth(mask=TARGET, instances=TARGET[None], objects=Answer(FRAME, (box,)), image=create_image())
    empty = Truth(mask=np.zeros((30, 40), bool), image=create_image())
    for reward in rubric.score([HIT, MISS, NOTHING, "?"] * 2, [truth] * 4 + [empty] * 4, [FRAME] * 8):
        assert {type(value) for value in reward.parts.values()} <= {float, type(None)}
        assert type(reward.total) is float
        json.dumps(dict(reward.parts))


def test_shares_of_an_empty_batch_are_zero(rubric):
    assert share_parse_failures([]) == share_abstentions([]) == 0
    assert rubric.score([], [], []) == []
