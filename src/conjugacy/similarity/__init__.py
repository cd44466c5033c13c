"""How similar two systems are: measures, with intervals, nulls, and a test with known answers."""

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
    "split_half_ceiling": "inference",
}
_SUBMODULES = ("inference", "measure", "regression")

__all__ = [*_PUBLIC, *_SUBMODULES]


def __getattr__(name: str):
    import importlib

    if name in _PUBLIC:
        value = getattr(importlib.import_module(f"conjugacy.similarity.{_PUBLIC[name]}"), name)
    elif name in _SUBMODULES:
        value = importlib.import_module(f"conjugacy.similarity.{name}")
    else:
        raise AttributeError(f"module 'conjugacy.similarity' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})
