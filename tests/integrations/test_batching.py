"""Calls that come one at a time are answered in batches, and each gets its own answer or its own error."""

import asyncio
import threading

import pytest

from thinkseg.integrations.batching import Batches


class Doubler:
    """Doubles numbers, keeps the batches that it was given, and refuses the number 13."""

    def __init__(self):
        self.batches = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, numbers):
        self.go.wait(10)
        self.batches.append(list(numbers))
        if 13 in numbers:
            raise ValueError("13 is not doubled")
        return [2 * number for number in numbers]


def asked(double, *numbers, most=256):
    async def ask_all():
        batches = Batches(double, most)
        return await asyncio.gather(*map(batches.ask, numbers), return_exceptions=True)

    return asyncio.run(ask_all())


def test_calls_at_the_same_time_are_one_batch_and_answered_in_order():
    double = Doubler()
    assert asked(double, 3, 1, 2) == [6, 2, 4]
    assert double.batches == [[3, 1, 2]]


def test_a_batch_is_no_larger_than_allowed():
    double = Doubler()
    assert asked(double, *range(5), most=2) == [0, 2, 4, 6, 8]
    assert double.batches == [[0, 1], [2, 3], [4]]


def test_what_is_asked_while_a_batch_is_being_answered_is_the_next_one():
    double = Doubler()
    double.go.clear()

    async def ask_later():
        batches = Batches(double)
        first = asyncio.create_task(batches.ask(1))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(batches.ask(number)) for number in (2, 3)]
        await asyncio.sleep(0)
        double.go.set()
        return [await task for task in (first, *others)]

    assert asyncio.run(ask_later()) == [2, 4, 6]
    assert double.batches == [[1], [2, 3]]


def test_one_that_cannot_be_answered_does_not_harm_the_others():
    double = Doubler()
    first, fault, last = asked(double, 1, 13, 2)
    assert (first, last) == (2, 4)
    assert str(fault) == "13 is not doubled"
    assert double.batches == [[1, 13, 2], [1], [13], [2]]


def test_a_caller_that_goes_away_leaves_the_others_their_answers():
    double = Doubler()

    async def leave():
        batches = Batches(double)
        gone, stays = (asyncio.create_task(batches.ask(number)) for number in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return await stays

    assert asyncio.run(leave()) == 4
