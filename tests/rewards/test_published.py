"""The published rewards: exactly the published values where they are asked for, and by default but for named kinds.

`published_completions.py` draws the completions, of each system at least 1,000 that are well-formed, 1,000 realistic
ones and 1,000 broken ones; the values of the published functions were recorded with `record_published.py`.
"""

from collections import Counter

import pytest

from thinkseg.answers import get_format
from thinkseg.errors import RecipeError
from thinkseg.rewards import Rubric
from thinkseg.types import Size

from .published_comparison import FORMATS, TABLES, compare, recorded, scored_as_published, table
from .published_completions import BROKEN, REALISTIC, WELL_FORMED

BEGIN, END = "<!-- published: begin {} -->", "<!-- published: end {} -->"


@pytest.mark.parametrize("name", FORMATS)
def test_the_published_rewards_have_the_published_values(name):
    cases, published = recorded(name)
    _, rewards = scored_as_published(name)
    for case, reward, row in zip(cases, rewards, published, strict=True):
        assert {**reward.parts, "total": reward.total} == row, case
    counts = Counter(case.group for case in cases)
    assert min(counts[group] for group in (WELL_FORMED, REALISTIC, BROKEN)) >= 1000


@pytest.mark.parametrize("name", FORMATS)
def test_by_default_every_well_formed_completion_has_the_published_values(name):
    """Those of Seg-R1 have the published masks; its S-measure differs, as the page says."""
    assert not [kind for kind in compare(name).values() if kind.group == WELL_FORMED and kind.differing]


@pytest.mark.parametrize("number", range(len(TABLES)))
def test_by_default_other_completions_differ_as_the_page_says_and_in_no_other_kind(number, repository):
    page = (repository / "docs/rewards.md").read_text(encoding="utf-8")
    told = page.partition(BEGIN.format(number))[2].partition(END.format(number))[0]
    assert told.strip().splitlines() == table(*TABLES[number])


def test_a_format_without_published_rewards_is_refused():
    class Own(type(get_format("seg-zero"))):
        name = "own"

    with pytest.raises(RecipeError, match="there are no published rewards 'own'"):
        Rubric(Own(), "published")


def test_the_names_weights_and_places_of_the_published_parts_are_those_of_ours():
    for name in FORMATS:
        ours, published = Rubric(get_format(name), _weights(name)), Rubric(get_format(name), "published")
        assert list(ours.parts) == list(published.parts)
        assert ours.part_weights == published.part_weights
        assert {n: p.needs for n, p in ours.parts.items()} == {n: p.needs for n, p in published.parts.items()}


def _weights(name):
    from thinkseg.rewards import published_rewards

    return published_rewards(name).weights


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("seg-r1", "<labels>[" + "1" * 19_000 + "x"),
        ("seg-r1", "<points>[" + "[1,1] " * 3_000 + "x"),
        ("seg-r1", "<points>" * 2_000 + " " * 3_000),
        ("seg-zero", "{" * 19_000),
        ("vision-reasoner", "</think>" * 2_000 + " " * 3_000),
        ("vision-reasoner", "<answer>" + "[" * 19_000 + "</answer>"),
    ],
)
def test_no_text_holds_the_published_readers_up(name, text):
    """The published patterns take time that doubles with each character of such texts."""
    import time

    rubric = Rubric(get_format(name), "published")
    began = time.process_time()
    rubric.read([text], [_nothing_known()], [Size(840, 840)])
    for part in rubric.parts.values():
        part(rubric.read([text], [_nothing_known()], [Size(840, 840)]))
    assert time.process_time() - began < 2


def _nothing_known():
    from thinkseg.rewards import Truth

    return Truth()
