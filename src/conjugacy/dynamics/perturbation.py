"""Kicks and held biases: where a system goes when its state is pushed, beside where it went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._arrays import read_numbers
from conjugacy._check import check_axes, check_finite, check_instance, check_int, check_number
from conjugacy.dynamics.linearisation import states_and_inputs
from conjugacy.system import System


@dataclass(frozen=True, eq=False)
class Perturbed:
    """Trajectories of a system after kicks, see `perturb`.

    Attributes
    ----------
    trajectories : Tensor (direction, trial, step, unit)
        From the kicked state on, row 0 being that state; steps past the end of a trial are NaN.
    unperturbed : Tensor (trial, step, unit)
        The same steps without a kick.
    directions : Tensor (direction, unit)
        Of unit length.
    size : float
    at, n_held : int
        The step whose state was pushed, and how many steps in a row were.
    readout : callable or None
        Of the system.
    """

    trajectories: Tensor
    unperturbed: Tensor
    directions: Tensor
    size: float
    at: int
    n_held: int
    readout: Any = None

    @property
    def distance(self) -> np.ndarray:
        """Distance of the state from the unperturbed one, (direction, trial, step)."""
        return (self.trajectories - self.unperturbed).norm(dim=-1).numpy()

    @property
    def output_change(self) -> np.ndarray:
        """Distance of the output from the unperturbed one, (direction, trial, step); of systems with a readout."""
        if self.readout is None:
            raise ValueError("`output_change`: expected a system with a readout, got one without. Use `distance`.")
        with torch.no_grad():
            return (self.readout(self.trajectories) - self.readout(self.unperturbed)).norm(dim=-1).numpy()

    def table(self):
        """One row a direction, means over trials, a pandas DataFrame.

        "at once" and "at the end": distance over the size of the kick right after it and at the last step, 1 where
        nothing is forgotten; "greatest" on the way; the same of the output, where there is one, as "output, ...".
        """
        import pandas as pd

        found = {"": self.distance} if self.readout is None else {"": self.distance, "output, ": self.output_change}
        columns = {}
        for prefix, values in found.items():
            last = np.take_along_axis(values, (~np.isnan(values)).sum(-1, keepdims=True) - 1, -1)[..., 0]
            each = {"at once": values[..., self.n_held - 1], "at the end": last, "greatest": np.nanmax(values, -1)}
            columns |= {f"{prefix}{name}": v.mean(1) / self.size for name, v in each.items()}
        return pd.DataFrame(columns).rename_axis("direction")


def perturb(system: System, directions: Any, size: float, *, at: int, n_held: int = 1) -> Perturbed:
    """Push the state of a system in every trial, and follow it under the same inputs.

    Parameters
    ----------
    system : System
        With a step: ``run.system(trials)`` (inputs, in closed loop what the network saw, are those of the unperturbed
        trial) or, to close the loop again, ``run.coupled_system(trials)``: its states are network and arm, which its
        `parts` tell apart.
    directions : array (unit,) or (direction, unit)
        Each is pushed along by itself; their lengths do not matter. Eigenvectors are the columns of
        ``FixedPoints.modes[0]``, random ones come from `random_directions`.
    size : float
        Length of the push, in units of the state, > 0.
    at : int
        The step whose state is pushed, in [0, steps - 2].
    n_held : int
        Steps in a row at which the push is added: 1 is a kick, more are a held bias.

    Returns
    -------
    Perturbed

    Raises
    ------
    ValueError
        If the system has no step, or an argument is out of its range.
    """
    check_instance("system", system, System)
    if system.step is None:
        raise ValueError(f"`system`: expected a system with a step, got {system.name!r} with trajectories only.")
    v = read_numbers("directions", directions, "directions (direction, unit)")
    v = v[None] if v.ndim == 1 else v
    check_axes("directions", v, "direction unit", unit=system.n_units)
    check_finite("directions", v)
    if not len(v) or bool((v.norm(dim=1) == 0).any()):
        raise ValueError("`directions`: expected at least one direction, none of length 0.")
    size = check_number("size", size, 0, open_low=True, hint="It is in units of the state.")
    shortest = int(system.lengths.min())
    at = check_int("at", at, 0, shortest - 2, f"The shortest trial has {shortest} steps.")
    n_held = check_int("n_held", n_held, 1, shortest - 1 - at)
    v = v / v.norm(dim=1, keepdim=True)
    x, u = states_and_inputs(system, None if system.inputs is None else system.inputs.shape[2])
    n, t, d = x.shape
    with torch.no_grad():
        plain, y = [x[:, at]], x[:, at] + size * v[:, None]
        pushed = [y]
        for s in range(at + 1, t):
            plain.append(system.step(plain[-1], u[:, s]))
            y = system.step(y.reshape(-1, d), u[:, s].repeat(len(v), 1)).reshape(len(v), n, d)
            if s - at < n_held:
                y = y + size * v[:, None]
            pushed.append(y)
    inside = (torch.arange(at, t) < system.lengths[:, None])[..., None]
    nan = torch.tensor(torch.nan, dtype=torch.float64)
    moved = torch.where(inside, torch.stack(pushed, 2), nan)
    return Perturbed(moved, torch.where(inside, torch.stack(plain, 1), nan), v, size, at, n_held, system.readout)


def random_directions(n: int, n_units: int, seed: int = 0) -> np.ndarray:
    """`n` directions (n, unit) of unit length, drawn evenly over the sphere: what a direction is compared with."""
    check_int("n", n, 1)
    check_int("n_units", n_units, 1)
    v = np.random.default_rng(check_int("seed", seed, 0)).standard_normal((n, n_units))
    return v / np.linalg.norm(v, axis=1, keepdims=True)
