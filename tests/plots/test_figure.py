"""Figures in a notebook: each is displayed once, in the order in which they were made."""

import gc
import sys
import types

import pytest
from matplotlib.backend_bases import FigureCanvasBase

from conjugacy.plots import figure


class Shell:
    """The parts of a notebook's IPython shell that are asked for figures."""

    kernel = display_formatter = None

    def __init__(self):
        self.displayed = []
        self.events = types.SimpleNamespace(
            callbacks={"post_execute": []}, register=lambda name, f: self.events.callbacks[name].append(f)
        )

    def display(self, made):
        with pytest.raises(NotImplementedError):  # IPython then takes the formatter that is set
            made._ipython_display_()
        self.displayed.append(made)

    def end_cell(self, returned=None):
        """What IPython does: the value of the last line first, then all callbacks."""
        if returned is not None:
            self.display(returned)
        for callback in self.events.callbacks["post_execute"]:
            callback()
        shown, self.displayed = self.displayed, []
        return shown


@pytest.fixture
def shell(monkeypatch):
    made = Shell()
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=made.display))
    monkeypatch.setattr(figure, "_shell", lambda: made)
    # matplotlib asks a real IPython for its version, once
    monkeypatch.setattr(FigureCanvasBase, "_fix_ipython_backend2gui", classmethod(lambda cls: None))
    return made


def test_all_figures_of_a_cell_are_displayed_once_in_order(shell):
    a, b, c = (figure.new_figure(1, 1) for _ in range(3))
    assert shell.end_cell(returned=c) == [a, b, c]
    assert shell.end_cell() == []
    assert shell.end_cell(returned=a) == [a]  # again only where it is asked for
    d = figure.new_figure(1, 1)
    assert shell.end_cell() == [d]


def test_a_figure_displayed_on_the_way_is_not_displayed_at_the_end(shell):
    a, b = figure.new_figure(1, 1), figure.new_figure(1, 1)
    shell.display(b)
    c = figure.new_figure(1, 1)
    assert shell.end_cell() == [a, b, c]


def test_what_is_written_to_a_file_is_not_displayed(shell):
    figure.leave_to_caller(figure.new_figure(1, 1))
    assert shell.end_cell() == []


def test_outside_of_notebooks_no_figure_is_kept(monkeypatch):
    import weakref

    monkeypatch.setattr(figure, "_shell", lambda: None)
    gone = weakref.ref(figure.new_figure(1, 1))
    gc.collect()
    assert gone() is None
