"""One network inspected, several compared: everything that is computed of trained networks."""

from conjugacy._lazy import lazy

_PUBLIC = {
    "Analysis": "analysis",
    "Comparison": "comparison",
    "Epochs": "epochs",
    "Margins": "margins",
    "Verdict": "verdict",
    "compare": "comparison",
    "find_conjugacy": "conjugacies",
}

__getattr__, __dir__, __all__ = lazy(__name__, _PUBLIC)
