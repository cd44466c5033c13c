"""System: anything that can be compared, artificial or natural. `dynamics` and `similarity` know nothing else.

A system has trajectories, and possibly the map that made them. States and inputs are indexed so that

    x[k, t] = step(x[k, t - 1], u[k, t])

that is, row t of `trajectories` is the state *after* the input of row t has been seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from conjugacy._arrays import read_trials
from conjugacy._calling import ORDERS
from conjugacy._check import (
    check_axes,
    check_callable,
    check_choice,
    check_finite,
    check_instance,
    check_number,
    check_text,
)
from conjugacy._own_step import Transitions, own_step

Step = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class System:
    """Trajectories of a dynamical system, and the map behind them where it is known.

    Attributes
    ----------
    name : str
        How tables and figures call it.
    trajectories : Tensor (trial, time, unit)
        Latent states or recorded activity. Steps past the end of a trial hold anything finite.
    inputs : Tensor (trial, time, input) or None
        What drove the system, aligned as in the module docstring.
    lengths : Tensor (trial,), int64
        Number of valid steps of each trial; all equal to `time` unless trials are ragged.
    step : callable or None
        ``step(x, u) -> x_next`` with x (..., unit), u (..., input), batched over leading axes, without
        noise, in the dtype of `x`. The map of one time step. Other orders of the arguments, modules of torch (nn.GRU,
        models around one, ...) and state_dicts are taken too, and become such a function. It must reproduce the
        trajectories, see `step_tolerance`.
    cell : Module or None
        The recurrent cell ``cell(u, x) -> x_next`` that `step` calls, in float64, where there is one. Analyses
        look here for closed forms: they know torch's own cells, and ask others for ``jacobian(u, x)``.
    readout : callable or None
        ``readout(x) -> y`` with y (..., output).
    dt : float or None
        Seconds per step; None where time has no unit.
    parts : dict of str to slice, or None
        Named parts of the state, where it is made of several: a network and its arm.
    step_tolerance : float
        How far `step` may miss the next states of the trajectories, as a share (>= 0) of the distance that a step
        covers (both root mean square over 64 steps); float32 rounding is allowed for. Infinite where noise is part of
        the trajectories, or `step` is a vector field: then nothing is checked.
    output_range : Tensor (output,) or None
        How far each output of the readout ranges (from its 5 % to its 95 % quantile) in whole trials, where the
        trajectories are a part of them. Outputs that stay within a tenth of it are silent in that part.

    Raises
    ------
    ValueError
        If arrays do not fit each other, or `step` does not make the trajectories.
    """

    name: str
    trajectories: Tensor
    inputs: Tensor | None
    lengths: Tensor
    step: Step | None = None
    cell: nn.Module | None = None
    readout: Callable[[Tensor], Tensor] | None = None
    dt: float | None = None
    parts: Mapping[str, slice] | None = None
    step_tolerance: float = 0.05
    output_range: Tensor | None = None

    def __post_init__(self):
        n, t, d = check_axes("trajectories", self.trajectories, "trial time unit")
        if n == 0 or t == 0:
            raise ValueError(
                f"`trajectories`: expected at least one trial and one step, got {tuple(self.trajectories.shape)}."
            )
        if d == 0:
            raise ValueError(f"`trajectories`: expected at least one unit, got {tuple(self.trajectories.shape)}.")
        check_finite("trajectories", self.trajectories, "Drop or interpolate the missing samples.")
        if self.inputs is not None:
            check_axes("inputs", self.inputs, "trial time input", trial=n, time=t)
            check_finite("inputs", self.inputs)
        check_axes("lengths", self.lengths, "trial", trial=n)
        if int(self.lengths.min()) < 1 or int(self.lengths.max()) > t:
            raise ValueError(f"`lengths`: expected step counts in [1, {t}], got {self.lengths.tolist()}.")
        if self.dt is not None:
            check_number("dt", self.dt, 0, open_low=True, hint="It is the duration of a time step in seconds.")
        check_text("name", self.name)
        if self.cell is not None:
            check_instance("cell", self.cell, nn.Module)
        if self.readout is not None:
            check_callable("readout", self.readout, "readout(x) -> y")
        for part, which in (check_instance("parts", self.parts, Mapping) if self.parts is not None else {}).items():
            check_instance(f"parts[{part!r}]", which, slice)
        if not (isinstance(self.step_tolerance, float) and self.step_tolerance == float("inf")):
            check_number("step_tolerance", self.step_tolerance, 0, hint="math.inf checks nothing.")
        if self.output_range is not None:
            check_axes("output_range", self.output_range, "output")
            check_finite("output_range", self.output_range)
        if self.step is not None:
            step, cell = own_step(self.name, self.step, self._transitions(), self.step_tolerance)
            object.__setattr__(self, "step", step)
            object.__setattr__(self, "cell", cell if self.cell is None else self.cell)

    @classmethod
    def from_arrays(
        cls,
        name: str,
        trajectories: Any,
        inputs: Any = None,
        *,
        dt: float | None = None,
        step: Any = None,
        cell: nn.Module | None = None,
        readout: Callable[[Tensor], Tensor] | None = None,
        order: str | None = None,
        step_tolerance: float = 0.05,
    ) -> System:
        """A system from recorded or simulated activity.

        Parameters
        ----------
        name : str
            How tables and figures call it.
        trajectories : array (trial, time, unit), or a list of arrays (time_k, unit) of unequal lengths
            NumPy, torch, nested lists, masked arrays, xarray (its dimensions by name), pandas (rows by trial and time),
            cells of MATLAB; integers become float64, floats keep their precision. Whole steps of NaN, or masked ones,
            at the end of a trial are padding.
        inputs : like `trajectories`, with the axis "input" in place of "unit", optional
        dt : float, optional
            Seconds per step.
        step : callable, Module or state_dict, optional
            The map of one time step, see the attributes of the class. Which argument is the state is found out by
            trying it on the trajectories.
        cell : Module, optional
            The recurrent cell ``cell(u, x)`` behind `step`, for closed forms; alone, it is the step.
        readout : callable, optional
            See the attributes of the class.
        order : {"state, input", "input, state"}, optional
            Order of the arguments of `step`, where trying cannot tell.
        step_tolerance : float
            See the attributes of the class.

        Raises
        ------
        TypeError
            If an array holds no real numbers, or `step` is no function or module.
        ValueError
            If an array has the wrong number of axes, missing values inside a trial or infinite ones, if trials and
            inputs differ in number or length, or if `step` or `cell` does not make the trajectories.
        """
        x, lengths = read_trials("trajectories", trajectories)
        u = None
        if inputs is not None:
            u, input_lengths = read_trials("inputs", inputs, "input")
            # inputs may go on in the padding of a trial
            whole = len(input_lengths) == len(lengths) and bool((input_lengths == x.shape[1]).all())
            if not torch.equal(lengths, input_lengths) and not whole:
                raise ValueError(
                    f"`inputs`: expected as many trials and steps as `trajectories` {tuple(x.shape[:2])}, "
                    f"got {tuple(u.shape[:2])} (or other lengths of trials)."
                )
        if order is not None:
            check_choice("order", order, ORDERS)
        if step is None and order is not None:
            raise ValueError(f"`order`: expected None without a `step`, got {order!r}.")
        transitions = Transitions.of(x, u, lengths) if x.numel() else None
        if cell is not None:
            if not isinstance(cell, nn.Module):
                raise TypeError(f"`cell`: expected a torch.nn.Module, got {type(cell).__name__}.")
            made, known = own_step(name, cell, transitions, step_tolerance, what="cell")
            step, cell = made if step is None else step, cell if known is None else known
        if order is not None:
            step, known = own_step(name, step, transitions, step_tolerance, order)
            cell = known if cell is None else cell
        return cls(name, x, u, lengths, step, cell, readout, dt, step_tolerance=step_tolerance)

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return self.trajectories.shape[0]

    @property
    def n_units(self) -> int:
        """Number of state variables D."""
        return self.trajectories.shape[2]

    @property
    def valid(self) -> Tensor:
        """Boolean (trial, time): True where a step belongs to its trial."""
        return torch.arange(self.trajectories.shape[1]) < self.lengths[:, None]

    def states(self) -> Tensor:
        """All visited states, (sample, unit), the steps past the end of ragged trials left out."""
        return self.trajectories[self.valid]

    def _transitions(self) -> Transitions | None:
        return Transitions.of(self.trajectories, self.inputs, self.lengths)

    def __repr__(self) -> str:
        n, t, d = self.trajectories.shape
        known = [f for f in ("inputs", "step", "readout") if getattr(self, f) is not None]
        return f"System({self.name!r}: {n} trials x {t} steps x {d} units; {', '.join(known) or 'trajectories only'})"
