"""Module paths of conjugacy 0.1, which scripts and notebooks may still import, and where their contents are now.

A module that is asked for under an old path is made on the spot; its names are looked up in the modules that took its
place. Nothing is imported before it is asked for, and no old path hides a present one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# old module -> the modules its names are in today, the first one first
MOVED: dict[str, tuple[str, ...]] = {
    "arm.kernel": ("arm.compiled_arm",),
    "arm.skeleton": ("arm.bones",),
    "comparison": ("analysis.comparison",),
    "dynamics.cells": ("dynamics.closed_forms",),
    "dynamics.maps": ("dynamics.map", "dynamics._as_map"),
    "dynamics.skeleton": ("dynamics._portrait", "dynamics.branches"),
    "dynamics.skeleton_distance": ("dynamics._portrait_distance",),
    "dynamics.timescales": ("dynamics.linearisation",),
    "epochs": ("analysis.epochs",),
    "generalisation": ("analysis.generalisation",),
    "networks.blocks": ("networks.compiled.blocks",),
    "networks.closed_loop": ("closed_loop.compiled_loop",),
    "networks.flow_kernel": ("networks.compiled.flow",),
    "networks.gru_kernel": ("networks.compiled.gru",),
    "plots.trial_io": ("plots._trial_io",),
    "rest": ("analysis.rest_points",),
    "run": ("runs.run", "runs.folder", "runs.classes"),
    "similarity.alignment_kernel": ("similarity.alignment_compiled",),
    "similarity.all_pairs": ("similarity._pairwise",),
    "similarity.checks": ("similarity.known_answer_checks",),
    "similarity.exponents": ("similarity.lyapunov_distance",),
    "similarity.kernel": ("similarity.cka", "similarity.hsic"),
    "similarity.portraits": ("similarity.skeleton_distance",),
    "similarity.rates": ("recordings.spike_scores",),
    "similarity.regression": ("similarity._state_r2", "similarity.principal_components", "similarity.samples"),
    "similarity.shape": ("similarity.procrustes",),
    "similarity.spectra": ("similarity.spectrum",),
    "similarity.threads": ("_threads",),
    "simulate": ("runs.rollout", "closed_loop.plain"),
    "sweeps": ("populations.plan", "populations.execute"),
    "sweeps.plan": ("populations.plan",),
    "sweeps.ray_crew": ("populations.ray_workers",),
    "sweeps.run": ("populations.execute",),
    "tasks.epochs": ("tasks.phases",),
    "tasks.multitask_kernel": ("tasks.multitask_compiled",),
    "tasks.reach_merits": ("tasks.reach_metrics",),
    "training.crew": ("populations.processes",),
    "training.data_module": ("training.lightning.data_module",),
    "training.lightning_module": ("training.lightning.wrapper",),
    "training.lock": ("runs.lock",),
    "training.population": ("populations.population",),
    "training.stacked": ("populations.stacked",),
    "training.stacked_adam": ("populations.stacked_adam",),
    "training.worker": ("populations.worker",),
    "trial_sets": ("runs.trial_sets",),
}
# what bears another name today: old module -> {old name: new name}
RENAMED: dict[str, dict[str, str]] = {
    "networks.closed_loop": {"ClosedLoop": "CompiledLoop"},
    "tasks.reach_merits": {"reach_merits": "reach_metrics"},
    "run": {"public_classes": "known_classes"},
    "sweeps.ray_crew": {"RayCrew": "RayWorkers"},
    "training.crew": {"Crew": "Workers"},
    "training.worker": {"one_line": "error_line"},
}


def present(old: str, name: str) -> Any:
    """What ``conjugacy.<old>.<name>`` of version 0.1 is today.

    Raises
    ------
    AttributeError
        If no module that took the place of `old` has it.
    """
    if name.startswith("__"):  # asked of every module there is, by inspect for one: nothing is to be imported for it
        raise AttributeError(f"module 'conjugacy.{old}' has no attribute {name!r}")
    name = RENAMED.get(old, {}).get(name, name)
    for module in MOVED[old]:
        found = getattr(importlib.import_module(f"conjugacy.{module}"), name, None)
        if found is not None:
            return found
    raise AttributeError(f"module 'conjugacy.{old}' has no attribute {name!r}; it is now {' and '.join(MOVED[old])}")


class _OldPaths(MetaPathFinder, Loader):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None):
        old = fullname.removeprefix("conjugacy.")
        if old == fullname or old not in MOVED:
            return None
        return ModuleSpec(fullname, self, is_package=any(other.startswith(f"{old}.") for other in MOVED))

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__.removeprefix("conjugacy.")
        module.__doc__ = f"Now {' and '.join(f'conjugacy.{new}' for new in MOVED[old])}."
        module.__dict__["__getattr__"] = lambda name: present(old, name)


def install() -> None:
    """Let old paths be imported; first in line, since an empty folder that stayed behind would be found instead."""
    if not any(isinstance(finder, _OldPaths) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OldPaths())
