"""A network and an arm in closed loop: the plain loop, the compiled one, and both as one map."""

from conjugacy._lazy import lazy

_PUBLIC = {"CoupledMap": "coupled_map", "plain_closed_loop": "plain"}

# the name of version 0.1
_RENAMED = {"ClosedLoop": "CoupledMap"}

__getattr__, __dir__, __all__ = lazy(__name__, _PUBLIC, renamed=_RENAMED)
