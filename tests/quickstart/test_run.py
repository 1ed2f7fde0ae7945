"""The quickstart as one call: what it says to type next."""

import pytest

from thinkseg.quickstart.run import next_commands


@pytest.mark.parametrize("start", ["pocket", "pocket-small"])
def test_photos_are_asked_about_by_the_pocket_as_it_ships_and_not_by_what_has_learnt_a_word(start):
    (command,) = next_commands(start)
    assert "--query 'the main object'" in command
    assert "--model" not in command


def test_a_model_of_the_users_own_is_asked_as_it_was_trained():
    assert next_commands("runs/start") == ()
