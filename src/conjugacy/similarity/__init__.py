"""How similar two systems are: measures, with intervals, nulls, and a test with known answers."""

from pathlib import Path

from conjugacy._lazy import lazy

_PUBLIC = {
    "Score": "score",
    "Interval": "score",
    "Null": "score",
    "Measure": "measure",
    "Resampling": "resampling",
    "Traits": "score",
    "Undefined": "score",
    "get_measure": "measure",
    "measure_names": "measure",
    "register": "measure",
    "registry": "measure",
    "state_r2": "_state_r2",
    "pairwise": "_pairwise",
    "cross": "_pairwise",
    "Pairwise": "_pairwise",
    "surface": "surfaces",
    "Surface": "surfaces",
    "split_half_ceiling": "inference",
    "check_measures": "known_answer_checks",
    "known_pairs": "known_answers",
    "kernel_dmd": "nystroem",
    "kernel_features": "nystroem",
    "stochastic_shape_distance": "stochastic",
}
# no module bears the name of something public above: importing it would hide that
_SUBMODULES = tuple(sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py") if path.stem not in _PUBLIC))

__getattr__, __dir__, __all__ = lazy(__name__, _PUBLIC, _SUBMODULES)
