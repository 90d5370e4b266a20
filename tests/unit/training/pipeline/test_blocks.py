"""Days to fit on and the days after them."""

from datetime import date, timedelta

import pytest

from micromoment.errors import NotEnoughDataError
from training.pipeline.blocks import forward_blocks


def days(count: int) -> list[date]:
    """Give so many days in a row."""
    return [date(2024, 5, 1) + timedelta(days=n) for n in range(count)]


@pytest.mark.parametrize(
    ("count", "fitted"),
    [(3, [2]), (5, [2, 3, 4]), (8, [4, 6]), (10, [4, 6, 8]), (23, [8, 13, 18]), (69, [27, 41, 55])],
)
def test_blocks_walk_forward_to_the_last_day(count: int, fitted: list[int]) -> None:
    """Each block fits on all days before its later ones, a fifth of all, up to the last day."""
    blocks = forward_blocks(days(count))
    assert [len(block.fit) for block in blocks] == fitted
    for block in blocks:
        assert len(block.later) == max(1, round(count / 5))
        assert [*block.fit, *block.later] == days(len(block.fit) + len(block.later))
    assert blocks[-1].later[-1] == days(count)[-1]


@pytest.mark.parametrize("count", range(3, 90))
def test_no_day_is_judged_twice(count: int) -> None:
    """Later days of different blocks are different, and the first block has enough to fit on."""
    blocks = forward_blocks(days(count))
    later = [day for block in blocks for day in block.later]
    assert later == sorted(set(later))
    assert 5 * len(blocks[0].fit) >= 2 * len(blocks[-1].fit)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_days(count: int) -> None:
    """The message says how many days there are and how many are needed."""
    with pytest.raises(NotEnoughDataError, match=f"3 days of events or more, there are {count}"):
        forward_blocks(days(count))
