"""Progress: a bar that vanishes in a terminal, a line now and then in a log, nothing where nothing is asked for."""

import io
import sys

import pytest

from conjugacy import _progress
from conjugacy._progress import duration, progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_few_lines_with_the_time_left(clock, capsys):
    for _ in progress_bar(range(3600), desc="Working", show=True, unit="steps"):
        clock[0] += 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Working: 30 of 3600 steps after 30 s, about 59 min 30 s left"
    assert lines[-1] == "Working: 3600 of 3600 steps after 1 h 00 min"
    assert 8 <= len(lines) <= 16 and not any("\r" in line for line in lines)


def test_a_log_of_short_work_stays_empty(clock, capsys):
    with progress_bar(total=100, desc="Working", show=True) as bar:
        for _ in range(100):
            clock[0] += 0.25
            bar.update()
    assert capsys.readouterr().err == ""


def test_a_resumed_work_is_not_credited_with_what_was_done_before(clock, capsys):
    with progress_bar(total=100, initial=50, desc="Working", show=True) as bar:
        clock[0] = 40
        bar.update(10)
    assert "60 of 100 after 40 s, about 2 min 40 s left" in capsys.readouterr().err


@pytest.mark.parametrize("delay", [0.0, 2.0])
def test_nothing_is_left_on_a_terminal(delay, monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    for _ in progress_bar(range(20), desc="Working", show=True, delay=delay):
        pass
    text = screen.getvalue()
    assert "\n" not in text and (delay > 0) == (text == "")
    assert not text.rsplit("\r", 1)[-1].strip()


def test_nothing_is_shown_where_none_is_asked_for(clock, capsys):
    for _ in progress_bar(range(100), desc="Working", show=False):
        clock[0] += 10
    assert capsys.readouterr() == ("", "")


def test_durations_in_words():
    assert [duration(s) for s in (0.4, 59, 61, 3725)] == ["0 s", "59 s", "1 min 01 s", "1 h 02 min"]
