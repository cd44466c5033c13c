"""System: anything that can be compared, artificial or natural. `dynamics` and `similarity` know nothing else.

A system has trajectories, and possibly the map that made them. States and inputs are indexed so that

    x[k, t] = step(x[k, t - 1], u[k, t])

that is, row t of `trajectories` is the state *after* the input of row t has been seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from conjugacy._check import check_axes, check_finite, check_number

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
        noise, in the dtype of `x`. The map of one time step.
    cell : Module or None
        The recurrent cell ``cell(u, x) -> x_next`` that `step` calls, in float64, where there is one. Analyses
        look here for closed forms: they know torch's own cells, and ask others for ``jacobian(u, x)``.
    readout : callable or None
        ``readout(x) -> y`` with y (..., output).
    dt : float or None
        Seconds per step; None where time has no unit.
    parts : dict of str to slice, or None
        Named parts of the state, where it is made of several: a network and its arm.
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

    def __post_init__(self):
        n, t, _ = check_axes("trajectories", self.trajectories, "trial time unit")
        if n == 0 or t == 0:
            raise ValueError(
                f"`trajectories`: expected at least one trial and one step, got {tuple(self.trajectories.shape)}."
            )
        check_finite("trajectories", self.trajectories, "Drop or interpolate the missing samples.")
        if self.inputs is not None:
            check_axes("inputs", self.inputs, "trial time input", trial=n, time=t)
            check_finite("inputs", self.inputs)
        check_axes("lengths", self.lengths, "trial", trial=n)
        if int(self.lengths.min()) < 1 or int(self.lengths.max()) > t:
            raise ValueError(f"`lengths`: expected step counts in [1, {t}], got {self.lengths.tolist()}.")
        if self.dt is not None:
            check_number("dt", self.dt, 0, open_low=True, hint="It is the duration of a time step in seconds.")

    @classmethod
    def from_arrays(
        cls,
        name: str,
        trajectories: Any,
        inputs: Any = None,
        *,
        dt: float | None = None,
        step: Step | None = None,
        readout: Callable[[Tensor], Tensor] | None = None,
    ) -> System:
        """A system from recorded or simulated activity.

        Parameters
        ----------
        name : str
            How tables and figures call it.
        trajectories : array (trial, time, unit), or a list of arrays (time_k, unit) of unequal lengths
            NumPy, torch or nested lists; integers become float64, floats keep their precision.
        inputs : like `trajectories`, with the axis "input" in place of "unit", optional
        dt : float, optional
            Seconds per step.
        step, readout : callables, optional
            See the attributes of the class.

        Raises
        ------
        ValueError
            If an array has the wrong number of axes, NaN or infinite values, or if trials and inputs differ
            in number or length.
        """
        x, lengths = _stack("trajectories", trajectories, "unit")
        u = None
        if inputs is not None:
            u, input_lengths = _stack("inputs", inputs, "input")
            if not torch.equal(lengths, input_lengths):
                raise ValueError(
                    f"`inputs`: expected as many trials and steps as `trajectories` {tuple(x.shape[:2])}, "
                    f"got {tuple(u.shape[:2])} (or other lengths of trials)."
                )
        return cls(name, x, u, lengths, step=step, readout=readout, dt=dt)

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

    def __repr__(self) -> str:
        n, t, d = self.trajectories.shape
        known = [f for f in ("inputs", "step", "readout") if getattr(self, f) is not None]
        return f"System({self.name!r}: {n} trials x {t} steps x {d} units; {', '.join(known) or 'trajectories only'})"


def _stack(name: str, data: Any, last: str) -> tuple[Tensor, Tensor]:
    ragged = isinstance(data, Sequence) and len({len(trial) for trial in data}) > 1
    if ragged:
        trials = [_tensor(f"{name}[{k}]", trial) for k, trial in enumerate(data)]
        for k, trial in enumerate(trials):
            check_axes(f"{name}[{k}]", trial, f"time {last}", "", **{last: trials[0].shape[-1]})
        lengths = torch.tensor([len(trial) for trial in trials])
        return torch.nn.utils.rnn.pad_sequence(trials, batch_first=True), lengths
    if isinstance(data, Sequence) and len(data) and isinstance(data[0], Tensor):
        data = torch.stack(list(data))
    x = _tensor(name, data)
    n, t, _ = check_axes(name, x, f"trial time {last}", "For a single trial, add the first axis: x[None].")
    return x, torch.full((n,), t)


def _tensor(name: str, data: Any) -> Tensor:
    try:
        # by way of NumPy: torch reads Python floats as float32
        x = data.detach() if isinstance(data, Tensor) else torch.as_tensor(np.asarray(data))
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"`{name}`: expected an array of numbers, got {type(data).__name__} ({error}).") from None
    if x.is_complex():
        raise TypeError(f"`{name}`: expected real numbers, got {x.dtype}.")
    return x.cpu() if x.is_floating_point() else x.cpu().double()
