"""What veRL and EasyR1 are told of a completion is what `thinkseg.score` says of it, to the last digit."""

import asyncio
import json
import math

import pytest

import thinkseg
from thinkseg.api.score import create_rubric
from thinkseg.errors import DataError, RecipeError
from thinkseg.integrations import easyr1, verl
from thinkseg.integrations.scoring import LOOKED_AT, Scorer, ScoringSettings, scorer_of
from thinkseg.testing.fakes import FakeSegmenter


@pytest.fixture
def pairs(truths, said):
    """Every completion about every query."""
    return [(text, truth) for truth in truths for text in said]


@pytest.fixture
def scored(pairs, settings):
    """What the public call says of them."""
    return list(thinkseg.score([{**truth, "completion": text} for text, truth in pairs], **settings))


@pytest.fixture
def boxes(truths):
    """The truth of a sample of which no mask is known."""
    return {name: value for name, value in truths[0].items() if name not in ("mask", "masks", "image")}


@pytest.fixture
def scorer(settings):
    """One whose segmenter keeps count."""
    return Scorer(create_rubric(settings["format"], None, settings["rewards"], FakeSegmenter()))


def by_verl(asked, **kwargs):
    async def ask_all():
        calls = (
            verl.compute_score("thinkseg", text, json.dumps(truth), {"index": 0}, **kwargs, reward_router_address=None)
            for text, truth in asked
        )
        return await asyncio.gather(*calls)

    return asyncio.run(ask_all())


def test_verl_is_told_what_score_says(pairs, scored, settings):
    given = by_verl(pairs, **settings)
    assert [row["score"] for row in given] == [score.total for score in scored]
    assert any(0 < row["segment"] < 1 for row in given)
    for row, score in zip(given, scored, strict=True):
        assert set(row) == {"score", *settings["rewards"], "malformed"}
        assert row["malformed"] == (score.malformed is not None)
        for name, value in score.parts.items():
            assert row[name] == value or (value is None and math.isnan(row[name]))


def test_easyr1_is_told_what_score_says_of_a_batch(pairs, scored, settings):
    asked = [{"response": text, "response_length": 9, "ground_truth": json.dumps(truth)} for text, truth in pairs]
    given = easyr1.compute_score(asked, **settings)
    assert [row["overall"] for row in given] == [score.total for score in scored]
    for row, score in zip(given, scored, strict=True):
        parts = {name: value for name, value in score.parts.items() if value is not None}
        assert row == {"overall": score.total, **parts, "malformed": float(score.malformed is not None)}


def test_a_part_without_its_truth_is_nan_for_verl_and_left_out_for_easyr1(boxes, said, settings):
    (given,) = by_verl([(said[0], boxes)], **settings)
    assert math.isnan(given["segment"])
    assert given["soft_box_iou"] > 0
    asked = [{"response": said[0], "ground_truth": json.dumps(boxes)}]
    assert "segment" not in easyr1.compute_score(asked, **settings)[0]


def test_an_image_is_segmented_once_for_all_completions_about_it(truths, said, scorer):
    scorer.score([said[0], said[0], said[1]], [truths[0]] * 3)
    assert len(scorer.rubric.segmenter.encoded) == 1


def test_rewards_of_masks_without_a_segmenter_are_refused(settings):
    with pytest.raises(RecipeError, match="'segment' looks at masks and no segmenter is named"):
        scorer_of(ScoringSettings(settings["format"], None, settings["rewards"], None))


def test_published_rewards_go_by_their_name_and_equal_settings_share_a_scorer():
    assert scorer_of(ScoringSettings(recipe="seg-zero")) is scorer_of(ScoringSettings(recipe="seg-zero"))
    assert scorer_of(ScoringSettings(recipe="seg-zero")) is not scorer_of(ScoringSettings(recipe="vision-reasoner"))


@pytest.mark.parametrize("truth", ["no JSON", "[]", '{"objects": []}'])
def test_a_truth_that_is_none_of_ours_is_refused(truth):
    with pytest.raises(DataError, match="should be what 'thinkseg data prepare --schema' has written"):
        easyr1.compute_score([{"response": "x", "ground_truth": truth}], recipe="seg-zero")


def test_a_run_on_truths_that_a_part_finds_nothing_in_is_refused_and_stays_so(boxes, said, scorer):
    scorer.score([said[0]] * (LOOKED_AT - 1), [boxes] * (LOOKED_AT - 1))
    for _ in range(2):
        with pytest.raises(RecipeError, match="'segment' needs a true mask, found in 0 of the first 64 rows"):
            scorer.score([said[0]], [boxes])


def test_truths_of_which_half_have_what_a_part_needs_are_enough(truths, boxes, said, scorer):
    assert len(scorer.score([said[0]] * LOOKED_AT, [boxes, truths[0]] * (LOOKED_AT // 2))) == LOOKED_AT
