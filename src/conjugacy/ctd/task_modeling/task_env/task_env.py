"""Tasks, under the names of CtDB; `RandomTarget` is that of the neuromatch fork, which the notebook uses."""

from __future__ import annotations

from typing import Any

import conjugacy.tasks
from conjugacy.tasks import NBitFlipFlop

__all__ = ["NBitFlipFlop", "RandomTarget"]


def RandomTarget(effector: Any = None, **settings: Any) -> conjugacy.tasks.RandomTarget:
    """The reaching task of the neuromatch fork, ``conjugacy.tasks.RandomTarget(variant="neuromatch")``.

    Parameters
    ----------
    effector : RigidTendonArm26 of conjugacy.arm or of motornet, optional
    **settings
        Of `conjugacy.tasks.RandomTarget`; also under CtDB's and MotorNet's names, see `settings_of_ctdb`.
    """
    return conjugacy.tasks.RandomTarget(effector, "neuromatch", **settings_of_ctdb(settings))


def settings_of_ctdb(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings under the names of `conjugacy.tasks.RandomTarget`.

    `context_input_noise` becomes context_noise; `bump_mag_low`, `bump_mag_high` bump_force; MotorNet's delay None is 0;
    `is_aligned=True` fixes target and cue at 0.3 and 0.7 s, on every trial.
    """
    settings = dict(settings)
    if "context_input_noise" in settings:
        settings["context_noise"] = settings.pop("context_input_noise")
    if {"bump_mag_low", "bump_mag_high"} & set(settings):
        settings["bump_force"] = (settings.pop("bump_mag_low", 5.0), settings.pop("bump_mag_high", 10.0))
    for delay in ("vision_delay", "proprioception_delay"):
        if settings.get(delay, 0.0) is None:
            settings[delay] = 0.0
    if settings.pop("is_aligned", False):
        left = settings.get("max_ep_duration", 1.0) - 0.7
        settings |= {
            "target_onset": (0.3, 0.3),
            "min_delay": 0.4,
            "min_reach": left,
            "max_reach": left,
            "catch_prob": 0.0,
        }
    return settings
