"""The reaching task of CtDB's own repository, in which the target is shown until the go cue only."""

from __future__ import annotations

from typing import Any

import conjugacy.tasks
from conjugacy.ctd.task_modeling.task_env.task_env import settings_of_ctdb


def RandomTarget(effector: Any = None, **settings: Any) -> conjugacy.tasks.RandomTarget:
    """``conjugacy.tasks.RandomTarget(variant="snel")``.

    Parameters
    ----------
    effector : RigidTendonArm26 of conjugacy.arm or of motornet, optional
    **settings
        Of `conjugacy.tasks.RandomTarget`; also under CtDB's and MotorNet's names.
    """
    return conjugacy.tasks.RandomTarget(effector, "snel", **settings_of_ctdb(settings))
