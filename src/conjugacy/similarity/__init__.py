"""How similar two systems are: measures, with intervals, nulls, and a test with known answers."""

from conjugacy._lazy import lazy

_PUBLIC = {
    "Score": "measure",
    "Interval": "measure",
    "Null": "measure",
    "Measure": "measure",
    "Traits": "measure",
    "get_measure": "measure",
    "measure_names": "measure",
    "register": "measure",
    "registry": "measure",
    "state_r2": "regression",
    "pairwise": "all_pairs",
    "cross": "all_pairs",
    "Pairwise": "all_pairs",
    "surface": "surfaces",
    "Surface": "surfaces",
    "split_half_ceiling": "inference",
    "check_measures": "checks",
    "known_pairs": "known_answers",
    "kernel_dmd": "nystroem",
    "kernel_features": "nystroem",
    "stochastic_shape_distance": "stochastic",
}
# no module bears the name of something public above: importing it would hide that
_SUBMODULES = (
    "checks",
    "dmd",
    "dsa",
    "inference",
    "input_dsa",
    "kernel",
    "known_answers",
    "matching",
    "measure",
    "rates",
    "regression",
    "shape",
    "spectra",
)

__getattr__, __dir__, __all__ = lazy(__name__, _PUBLIC, _SUBMODULES)
