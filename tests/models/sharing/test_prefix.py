"""A packed row gives each token of a completion the context that it has in a row of its own."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkseg.models.sharing.attention import block_mask, dense_mask
from thinkseg.models.sharing.prefix import Block, lay_out

# A prompt of three tokens, padded on the left, with completions of two and three; and one of two tokens, on the right.
MASK = torch.tensor(
    [
        [0, 1, 1, 1, 1, 1, 0],
        [1, 1, 0, 0, 1, 0, 0],
        [0, 1, 1, 1, 1, 1, 1],
    ],
    dtype=torch.bool,
)
OWNERS = [0, 1, 0]
IDS = torch.tensor([[0, 11, 12, 13, 1, 2, 0], [21, 22, 0, 0, 3, 0, 0], [0, 11, 12, 13, 4, 5, 6]])


def test_a_row_has_each_prompt_once_and_a_branch_for_each_completion():
    layout = lay_out(MASK, 3, OWNERS)
    assert layout.blocks == (Block(0, 0, 2, (2, 3)), Block(0, 7, 1, (1,)))
    assert layout.prompts.tolist() == [0, 1]
    assert IDS.reshape(-1)[layout.tokens].tolist() == [[11, 12, 13, 1, 13, 4, 5, 21, 22]]
    assert layout.scored.tolist() == [2, 3, 4, 5, 6, 8]
    assert IDS.reshape(-1)[layout.predicted].tolist() == [1, 2, 4, 5, 6, 3]


def test_positions_of_a_branch_go_on_from_the_prompts_last_one():
    layout = lay_out(MASK, 3, OWNERS)
    of_prompts = torch.tensor(
        [
            [
                [
                    0,
                    0,
                    1,
                    9,
                ],
                [0, 5, 0, 0],
            ],
            [[0, 0, 1, 2], [0, 1, 0, 0]],
        ]
    )
    first, second = layout.positions(of_prompts).tolist()
    assert first == [[0, 1, 9, 10, 9, 10, 11, 0, 5]]
    assert second == [[0, 1, 2, 3, 2, 3, 4, 0, 1]]


def test_what_a_row_predicts_goes_back_to_its_completion():
    layout = lay_out(MASK, 3, OWNERS)
    values = torch.tensor([0.2, 0.3, 0.4, 0.5, 0.6, 0.8])
    expected = torch.tensor([[0.2, 0.3, 0], [0.8, 0, 0], [0.4, 0.5, 0.6]])
    assert torch.equal(layout.unpacked(values, (3, 3)), expected)


def test_short_prompts_share_a_row_as_long_as_they_fit():
    mask = torch.ones(4, 6, dtype=torch.bool)
    mask[1, :2] = mask[2, :2] = False  # prompts of four, two, two and four tokens, each with two of completion
    layout = lay_out(mask, 2, [0, 1, 2, 3], capacity=6)
    assert layout.tokens.shape == (3, 6)
    assert [(block.row, block.start, block.length) for block in layout.blocks] == [
        (0, 0, 5),
        (1, 0, 5),
        (2, 0, 3),
        (2, 3, 3),
    ]
    assert layout.prompts.tolist() == [0, 3, 1, 2]


def test_a_completion_that_does_not_count_has_no_branch():
    mask = MASK.clone()
    mask[2, 4:] = False
    layout = lay_out(mask, 3, OWNERS)
    assert [block.branches for block in layout.blocks] == [(2,), (1,)]
    assert layout.unpacked(torch.ones(3), (3, 3)).sum(1).tolist() == [2, 1, 0]


lengths = st.lists(
    st.tuples(st.integers(1, 4), st.lists(st.integers(0, 3), min_size=1, max_size=3)), min_size=1, max_size=4
)


@settings(max_examples=40)
@given(lengths, st.sampled_from([None, 0, 9]), st.booleans())
def test_each_token_sees_its_prompt_and_what_stands_before_it_and_nothing_else(prompts, capacity, left):
    width, longest = max(prompt for prompt, _ in prompts), 3
    rows, owners = [], []
    for owner, (prompt, completions) in enumerate(prompts):
        padding = [False] * (width - prompt)
        head = [True] * prompt
        for completion in completions:
            tail = [True] * completion + [False] * (longest - completion)
            rows.append([*padding, *head, *tail] if left else [*head, *padding, *tail])
            owners.append(owner)
    mask = torch.tensor(rows)
    layout = lay_out(mask, longest, owners, capacity)
    sees = dense_mask(layout)[:, 0]
    size, total = layout.tokens.shape[1], mask.shape[1]
    found = []
    for place, target in zip(layout.scored.tolist(), layout.predicted.tolist(), strict=True):
        row, column = divmod(place, size)
        context = layout.tokens[row][sees[row, column]].tolist()
        home = target // total
        kept = [column for column in mask[home].nonzero()[:, 0].tolist() if column < target % total]
        first = owners.index(owners[home])
        assert context == [(first if column < width else home) * total + column for column in kept]
        found.append(target)
    assert sorted(found) == [row * total + column for row, column in mask.nonzero().tolist() if column >= width]


def test_blocks_are_told_in_the_place_of_a_mask():
    layout = lay_out(MASK, 3, OWNERS)
    assert block_mask(layout.blocks).tolist() == [[[[2, 1], [2, 0], [3, 0], [1, 1], [1, 0]]]]
