"""A terminal gets a bar that moves; whatever keeps what is written gets a line now and then."""

import io

from thinkseg.meter import LINE_SECONDS, Meter


class Terminal(io.StringIO):
    """A file that is one."""

    def isatty(self):
        return True


def meter(seconds, file, **how):
    times = iter(seconds)
    return Meter("rl", "step", 10, file=file, clock=lambda: next(times), **how)


def test_a_log_gets_whole_lines_of_which_the_seconds_between_two_are_stated():
    file = io.StringIO()
    # asked at the start, at each step, and once more where a line is written
    with meter([0.0, 10.0, 20.0, 32.0, 32.0, 40.0, 70.0, 70.0, 80.0], file) as shown:
        shown.note("reward 0.5")
        for done in (1, 2, 4, 5, 7):
            shown.move(done)
        shown.move(7)
    assert LINE_SECONDS == 30
    assert file.getvalue().splitlines() == [
        "rl: 4/10 steps, 8.00 s/step, 0:48 left, reward 0.5",
        "rl: 7/10 steps, 10.00 s/step, 0:30 left, reward 0.5",
    ]
    assert "\r" not in file.getvalue()


def test_the_last_line_of_a_log_says_how_it_ended_however_soon():
    file = io.StringIO()
    with meter([0.0, 2.0, 5.0, 5.0], file) as shown:
        shown.move(5)
        shown.move(10)
    assert file.getvalue() == "rl: 10/10 steps, 2.00 step/s, took 0:05\n"


def test_work_that_goes_on_is_timed_by_what_is_done_now():
    file = io.StringIO()
    with meter([0.0, 4.0, 4.0], file, done=6) as shown:
        shown.move(8)
    assert file.getvalue() == "rl: 8/10 steps, 2.00 s/step, 0:04 left\n"


def test_work_of_which_nothing_is_done_says_nothing():
    file = io.StringIO()
    with Meter("rl", "step", 10, 10, file=file) as shown:
        shown.move(10)
        shown.close()
    assert file.getvalue() == ""


def test_a_terminal_gets_a_bar():
    file = Terminal()
    with Meter("rl", "step", 10, 4, file=file) as shown:
        shown.note("reward 0.5")
        shown.move(5)
    assert "\r" in file.getvalue()
    assert "5/10" in file.getvalue()
    assert "reward 0.5" in file.getvalue()


def test_how_many_there_are_may_become_known_late():
    file = io.StringIO()
    times = iter([0.0, 31.0, 31.0, 62.0, 62.0])
    with Meter("", "mask", file=file, clock=lambda: next(times)) as shown:
        shown.move(31)
        shown.move(62, 93)
    assert file.getvalue().splitlines() == [
        "31 masks, 1.00 s/mask",
        "62/93 masks, 1.00 s/mask, 0:31 left",
    ]


def test_a_unit_of_measure_has_no_plural():
    file = io.StringIO()
    times = iter([0.0, 4.0, 4.0])
    with Meter("download a.zip", "MB", 20, file=file, clock=lambda: next(times)) as shown:
        shown.move(8)
    assert file.getvalue() == "download a.zip: 8/20 MB, 2.00 MB/s, 0:06 left\n"
