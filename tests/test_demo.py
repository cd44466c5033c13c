"""The demo prints at most 40 lines, in a pipe and on a terminal; here with networks that train for two steps."""

import functools
import io
import re
import sys

import pytest

import conjugacy as cj
from conjugacy import demo


class Terminal(io.StringIO):
    def isatty(self):
        return True


def seen(text):
    """The lines that stay on a terminal: after a carriage return, what was there is written over."""
    lines, row, column = [[]], 0, 0
    for piece in re.findall(r"\x1b\[A|.", text, re.DOTALL):
        if piece == "\n":
            row, column = row + 1, 0
        elif piece == "\r":
            column = 0
        elif piece == "\x1b[A":
            row = max(row - 1, 0)
        else:
            line = lines[row]
            line += " " * (column + 1 - len(line))
            line[column] = piece
            column += 1
        lines += [[] for _ in range(row + 1 - len(lines))]
    return ["".join(line).rstrip() for line in lines]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # of networks that have not learned
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_at_most_forty_lines_and_none_stray(stream, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "train", functools.partial(demo.train, steps=2, batch_size=4))
    monkeypatch.setattr(demo, "compare", functools.partial(demo.compare, n_resamples=10, n_surrogates=5))
    monkeypatch.setattr(demo, "MEASURES", ("state_r2", "cka"))
    monkeypatch.setattr(demo, "GRU", lambda latent_size: cj.networks.GRU(6))
    out = stream()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setenv("COLUMNS", "100")
    demo.main_job(tmp_path)
    lines = seen(out.getvalue())
    while lines and not lines[-1]:
        lines.pop()
    text = "\n".join(lines)
    assert len(lines) <= 40 and max(map(len, lines)) <= 100, text
    assert "%|" not in text and "WARNING" not in text and "Traceback" not in text
    assert "Do they compute the same thing?" in text and f"Written to {tmp_path}" in " ".join(text.split())
