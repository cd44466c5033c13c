"""One network inspected, several compared: everything that is computed of trained networks."""

from conjugacy._lazy import lazy

_PUBLIC = {"Analysis": "analysis", "Comparison": "comparison", "compare": "comparison", "Epochs": "epochs"}

__getattr__, __dir__, __all__ = lazy(__name__, _PUBLIC)
