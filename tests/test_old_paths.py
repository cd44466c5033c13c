"""What could be imported from 0.1 can be imported still, whatever has moved since.

written_by_0_1/paths.txt lists every public module of 0.1 with its public functions and classes; make.py there wrote it.
"""

import importlib
import inspect
import warnings
from pathlib import Path

import pytest

import conjugacy as cj

LINES = Path(__file__).with_name("written_by_0_1").joinpath("paths.txt").read_text().splitlines()
PATHS = {module: names.split() for module, names in (line.split(":") for line in LINES)}
# no text showed it, and as a module it hid the function of its name
del PATHS["conjugacy.plots.trial_io"]

# constants and types that docstrings name, or that measures, tasks and arms of one's own import
ALSO = {
    "conjugacy.arm.arm26": ["ArmState"],
    "conjugacy.similarity.inference": ["NULLS"],
    "conjugacy.similarity.measure": ["OFF_DATA"],
    "conjugacy.system": ["Step"],
    "conjugacy.tasks.multitask_rules": ["RULES"],
}
# public by their names only: no text ever showed them
INTERNAL = {
    "conjugacy.cli": {"draw", "draw_fixed_points", "print_table"},
    "conjugacy.run": {"clear_half_written"},  # nothing is written by halves any more
    "conjugacy.tasks.multitask_rules": {"Plan"},
}


def imported(module):
    """The module; no warning comes of importing it but that it has moved."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = importlib.import_module(module)
    others = [w for w in told if not issubclass(w.category, DeprecationWarning)]
    assert not others, f"{module}: {others[0].message}"
    return found


def test_the_list_is_whole():
    assert len(PATHS) == 166 and sum(map(len, PATHS.values())) == 588


@pytest.mark.parametrize("module", PATHS)
def test_a_module_of_0_1_has_what_it_had(module):
    found = imported(module)
    lacking = [
        name
        for name in [*set(PATHS[module]) - INTERNAL.get(module, set()), *ALSO.get(module, [])]
        if getattr(found, name, None) is None
    ]
    assert not lacking, f"{module} lacks {', '.join(lacking)}"


def test_old_paths_lead_to_the_same_things_as_new_ones():
    public = {}
    for package in (cj, cj.tasks, cj.networks, cj.arm, cj.dynamics, cj.similarity, cj.training):
        public |= {name: getattr(package, name) for name in PATHS[package.__name__]}
    for module, names in PATHS.items():
        if module.startswith("ctd") or module == "conjugacy.cli":  # other things of the same names
            continue
        for name in set(names) - INTERNAL.get(module, set()):
            thing = getattr(imported(module), name)
            if inspect.isclass(thing) and name in public:
                assert thing is public[name], f"{module}.{name}"


@pytest.mark.parametrize("package", ["", ".dynamics", ".networks", ".plots", ".similarity", ".tasks", ".training"])
def test_importing_old_paths_hides_no_public_name(package):
    for module in PATHS:
        imported(module)
    functions_too = {f"conjugacy.{name}" for name in ("networks.from_cell", "networks.sequence", "training.train")}
    for name in PATHS[f"conjugacy{package}"]:
        path = f"conjugacy{package}.{name}"
        a_module = path in PATHS and path not in functions_too
        assert inspect.ismodule(getattr(importlib.import_module(f"conjugacy{package}"), name)) == a_module, path


def test_what_python_asks_of_every_module_imports_nothing():
    # inspect.getmodule asks for __file__; the wrapper's module would import Lightning, perhaps amid its own import
    for module in ("conjugacy.training.lightning_module", "conjugacy.run"):
        assert not hasattr(imported(module), "__file__")
