"""Figures of calls that return something else: shown where there is a notebook, never written to disk."""

from __future__ import annotations

import sys

from matplotlib.figure import Figure


def display(fig: Figure) -> None:
    """Show a figure in the running notebook; elsewhere do nothing."""
    if "IPython" in sys.modules:
        from IPython.core.getipython import get_ipython  # pyright: ignore[reportMissingImports]

        if get_ipython() is not None:
            from IPython.display import display as show  # pyright: ignore[reportMissingImports]

            show(fig)
