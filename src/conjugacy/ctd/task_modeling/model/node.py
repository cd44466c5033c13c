"""Neural ODE, under the name of CtDB."""

from conjugacy.networks import NODE

__all__ = ["NODE"]
