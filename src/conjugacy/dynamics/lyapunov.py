"""Lyapunov spectra by repeated QR, of held inputs, of driven trials and of parts of a network.

Benettin et al., Meccanica 15:9, 1980; Eckmann & Ruelle, Rev. Mod. Phys. 57:617, 1985; of driven recurrent networks:
Vogt, Puelma Touzel, Shlizerman & Lajoie, Front. Appl. Math. Stat. 8:818799, 2022; conditional exponents: Pecora &
Carroll, Phys. Rev. Lett. 64:821, 1990.

A frame of tangent vectors is carried along an orbit by the Jacobians and re-orthonormalised; the logarithms of the
diagonal of R, averaged over time, are the exponents. Several orbits run at once; their scatter is the standard error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from conjugacy._check import check_axes, check_choice, check_finite, check_int, check_number, shown
from conjugacy._progress import progress_bar
from conjugacy._threads import torch_threads
from conjugacy.dynamics.orbits import time_step
from conjugacy.dynamics.search import prepare
from conjugacy.dynamics.strobe import Strobe
from conjugacy.dynamics.tangent import first_frame, grow, grow_on, orthonormal
from conjugacy.system import System

_BLOCK = 250  # steps between two looks at whether orbits are still there
_CHUNK_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class LyapunovSpectrum:
    """Exponents by falling size.

    exponents, standard_error : Tensor (k,)
        Per step (a flow: per unit of time). Minus infinity, with error 0, is a direction that some step wipes out (a
        unit that is never on). The error is that of the mean over orbits or trials; of a single one, it comes from the
        scatter of ten parts of it.
    dimension : float
        Kaplan-Yorke dimension: j + (l_1 + .. + l_j) / |l_j+1| with the largest j for which the sum is >= 0. It is k
        where even the sum of all k is (then more exponents are needed, if k < D).
    per_orbit : Tensor (orbit, k)
    n_steps : int
        Steps that count, the longest trial's where they differ.
    dt : float or None
        Seconds per step.
    """

    exponents: Tensor
    standard_error: Tensor
    dimension: float
    per_orbit: Tensor
    n_steps: int
    dt: float | None = None

    def __repr__(self) -> str:
        lead = f"{float(self.exponents[0]):+.4g} +- {float(self.standard_error[0]):.2g}"
        return f"LyapunovSpectrum(largest {lead}, {len(self.exponents)} exponents, dimension {self.dimension:.3g})"

    @property
    def exponents_per_s(self) -> Tensor | None:
        """Exponents per second, where `dt` is known."""
        return None if self.dt is None else self.exponents / self.dt


def lyapunov_spectrum(
    step_or_system: Any,
    x0: Any = None,
    inputs: Any = 0,
    *,
    n_exponents: int | None = None,
    n_steps: int = 2000,
    n_transient: int | None = None,
    n_orbits: int = 8,
    integration_step: float | None = None,
    units: Any = None,
    seed: int = 0,
    kind: str = "map",
    progress: bool = True,
) -> LyapunovSpectrum:
    """The Lyapunov spectrum at a held input, under given inputs, or along the trials of a System.

    Parameters
    ----------
    step_or_system, seed, kind : as in `fixed_points`
    x0 : array (.., D), optional
        Visited states, from which orbits start; for inputs of K series, K states are taken as the K starts.
    inputs : number, array (I,), (T, I) or (K, T, I), or "trials"
        A held input; one series of inputs for all orbits; a series for each of K orbits; or the inputs of the System's
        own trials, along its recorded states. The exponents then are those of the driven system: how fast two copies
        that receive the same inputs part (conditional on the input). Exponents of trials are finite-time exponents.
    n_exponents : int, optional
        How many, the largest first; default all D.
    n_steps, n_transient : int
        Steps that count, and steps before them that let orbit and frame find the attractor; default 500. Under given
        inputs, all steps after the transient count (default a tenth of them, at most 500).
    n_orbits : int
        Number of orbits, where `inputs` does not say it. Under a held input, orbits from the same state are followed
        one after the other along its orbit.
    integration_step : float, optional
        Time step of a flow; default 0.1 over the fastest rate. Inputs (T, I) of a flow are held for one such step each.
    units : slice, indices, or name of one of `System.parts`, optional
        Exponents of these units alone, driven by all others as they are (conditional exponents: negative ones mean that
        a copy of these units, driven the same way, falls into step with them).
    progress : bool
        Show a bar if it takes longer than two seconds.

    Returns
    -------
    LyapunovSpectrum
        Ctrl-C returns what was averaged so far.

    Raises
    ------
    ValueError, TypeError
        For states or inputs of wrong shape, or orbits that run away.
    """
    n_steps, n_orbits = check_int("n_steps", n_steps, 1), check_int("n_orbits", n_orbits, 1)
    if n_transient is not None:
        check_int("n_transient", n_transient, 0)
    series = None if isinstance(inputs, str) else _series(inputs)
    own = check_choice("inputs", inputs, ("trials",)) == "trials" if isinstance(inputs, str) else False
    held = 0 if own else inputs if series is None else series[0, 0]
    dynamics, states, u, generator = prepare(step_or_system, x0, held, kind, None, check_int("seed", seed, 0))
    some = states[torch.randint(len(states), (n_orbits,), generator=generator)].clone()
    if integration_step is not None:
        check_number("integration_step", integration_step, 0, open_low=True)
    h = time_step(dynamics, some, u) if integration_step is None else float(integration_step)
    which = _units(units, step_or_system, states.shape[1])
    d = states.shape[1] if which is None else len(which)
    k = check_int("n_exponents", d if n_exponents is None else n_exponents, 1, d)
    strobe = Strobe(dynamics, u[None], h, units=which)
    with torch_threads(1), _Bar(progress) as bar:
        if own:
            logs, counted = _along_trials(strobe, step_or_system, k, n_transient, generator)
        elif series is not None:
            starts = _starts(states, x0, len(series), n_orbits, generator)
            series = series.expand(len(starts), -1, -1)
            logs, counted = _driven(strobe, starts, series, k, n_transient, generator, bar.tick)
        else:
            skip = 500 if n_transient is None else n_transient
            logs = _held(strobe, _apart(strobe, some, n_steps, bar), k, n_steps, skip, generator, bar)
            counted = torch.ones(logs.shape[:2], dtype=torch.bool)
    return _spectrum(logs, counted, h, dynamics.dt)


def kaplan_yorke(exponents: Tensor) -> float:
    """The Kaplan-Yorke dimension of exponents (k,) sorted by falling size; 0 if the first is negative."""
    sums = exponents.cumsum(0)
    j = int((sums >= 0).sum())
    if j == 0:
        return 0.0
    return float(j if j == len(exponents) else j + sums[j - 1] / exponents[j].abs())


def _apart(strobe: Strobe, x: Tensor, n_steps: int, bar: _Bar) -> Tensor:
    """States (K, D), equal ones moved on along their orbit by so much that no two orbits go through the same steps.

    Orbits that begin alike stay alike: their scatter would make the error of one orbit look like that of many.
    """
    turns = [sum(bool((x[j] == x[i]).all()) for j in range(i)) for i in range(len(x))]
    bar.total(max(turns) * n_steps)
    for turn in range(1, max(turns) + 1):
        later = torch.tensor([t >= turn for t in turns])
        for _ in range(n_steps):
            x[later] = strobe.step(x[later])
            bar.tick(1)
        _check_bounded(x)
    return x


def _held(strobe, x, k, n_steps, skip, generator, bar) -> Tensor:
    d = x.shape[1] if strobe.units is None else len(strobe.units)
    frame, kept, done = first_frame(len(x), d, k, generator), [], skip // 2
    bar.total(n_steps + skip)
    try:
        # orbits first: what a step far from the attractor does to a frame, it need not forget
        x = strobe.run(x, done)
        _check_bounded(x)
        while done < skip + n_steps:
            n = min(_BLOCK, (skip if done < skip else skip + n_steps) - done)
            logs, x, frame = grow(strobe, x, frame, n, bar.tick)
            _check_bounded(x)
            kept += [logs] if done >= skip else []
            done += n
    except KeyboardInterrupt:
        if not kept:
            raise
    return torch.cat(kept, 1)


def _driven(strobe, x, series, k, n_transient, generator, tick) -> tuple[Tensor, Tensor]:
    """Growth (K, T, k) along orbits from `x` (K, D) under inputs (K, T, I), and which steps count."""
    n, t_end, _ = series.shape
    d = x.shape[1] if strobe.units is None else len(strobe.units)
    frame, kept = first_frame(n, d, k, generator), []
    length = max(1, int(_CHUNK_BYTES / (8 * d * d * n)))
    for start in range(0, t_end, length):
        u = series[:, start : start + length]
        if not strobe.closed_form:
            for t in range(u.shape[1]):
                x, grown = strobe.inner_carry(x, u[:, t], frame)
                frame, logs = orthonormal(grown)
                kept.append(logs[:, None])
        else:
            path = []
            with torch.no_grad():
                for t in range(u.shape[1]):
                    path.append(x)
                    x = strobe.inner(x, u[:, t])
            states = torch.stack(path, 1)
            jacobians = strobe.inner_jacobian(states.flatten(0, 1), u.flatten(0, 1))[1]
            logs, frame = grow_on(jacobians.reshape(n, u.shape[1], d, d), frame)
            kept.append(logs)
        _check_bounded(x)
        tick(u.shape[1])
    return torch.cat(kept, 1), _counted(torch.full((n,), t_end), t_end, n_transient)


def _along_trials(strobe, system, k, n_transient, generator) -> tuple[Tensor, Tensor]:
    """Growth along the recorded states of a System's trials, under their inputs, and which steps count."""
    if not isinstance(system, System) and callable(getattr(system, "system", None)):
        system = system.system()
    if not isinstance(system, System) or system.inputs is None or int(system.lengths.max()) < 2:
        raise ValueError(
            f"`inputs`: expected 'trials' with a System that has inputs and trials of two steps or more, got "
            f"{type(system).__name__}. Give the inputs themselves, an array (trial, time, input)."
        )
    # row t of a trajectory is the state after the input of row t
    x, u = system.trajectories[:, :-1].double(), system.inputs[:, 1:].double()
    n, t_end, _ = x.shape
    d = x.shape[2] if strobe.units is None else len(strobe.units)
    frame, kept = first_frame(n, d, k, generator), []
    length = max(1, int(_CHUNK_BYTES / (8 * d * d * n)))
    for start in range(0, t_end, length):
        part = slice(start, start + length)
        jacobians = strobe.inner_jacobian(x[:, part].flatten(0, 1), u[:, part].flatten(0, 1))[1]
        logs, frame = grow_on(jacobians.reshape(n, -1, d, d), frame)
        kept.append(logs)
    return torch.cat(kept, 1), _counted(system.lengths - 1, t_end, n_transient)


def _counted(lengths: Tensor, t_end: int, n_transient: int | None) -> Tensor:
    skip = torch.clamp(lengths // 10, max=500) if n_transient is None else torch.full_like(lengths, n_transient)
    if bool((skip >= lengths).all()):
        raise ValueError(
            f"`n_transient`: expected fewer steps than the longest trial has ({int(lengths.max())}), got {n_transient}."
        )
    t = torch.arange(t_end)
    return (t >= skip[:, None]) & (t < lengths[:, None])


def _spectrum(logs: Tensor, counted: Tensor, h: float, dt: float | None) -> LyapunovSpectrum:
    steps = counted.sum(1)
    used = steps > 0
    logs, counted, steps = logs[used], counted[used], steps[used]
    masked = torch.where(counted[..., None], logs, 0.0)
    per_orbit = masked.sum(1) / (steps[:, None] * h)
    exponents = per_orbit.mean(0)
    if len(per_orbit) > 1:
        scatter, n = per_orbit.std(0), len(per_orbit)
    else:
        parts = logs[0][counted[0]].tensor_split(10)
        scatter, n = torch.stack([p.mean(0) / h for p in parts if len(p)]).std(0), min(10, int(steps[0]))
    error = torch.where(torch.isneginf(exponents), 0.0, scatter / n**0.5)
    order = exponents.argsort(descending=True)
    return LyapunovSpectrum(
        exponents[order], error[order], kaplan_yorke(exponents[order]), per_orbit[:, order], int(steps.max()), dt
    )


def _series(inputs: Any) -> Tensor | None:
    """Inputs that change in time, (K or 1, T, I), or None if `inputs` is held."""
    try:
        u = torch.as_tensor(inputs).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError):
        return None  # `prepare` says what is wrong with it
    if u.ndim < 2:
        return None
    check_axes("inputs", u, "orbit time input" if u.ndim == 3 else "time input")
    if not u.numel():
        raise ValueError(f"`inputs`: expected at least one step of one input, got shape {tuple(u.shape)}.")
    return check_finite("inputs", u if u.ndim == 3 else u[None])


def _starts(states: Tensor, x0: Any, n_series: int, n_orbits: int, generator: Generator) -> Tensor:
    if x0 is not None and n_series > 1 and len(states) == n_series:
        return states
    n = n_series if n_series > 1 else n_orbits
    return states[torch.randint(len(states), (n,), generator=generator)]


def _units(units: Any, thing: Any, d: int) -> Tensor | None:
    if units is None:
        return None
    if isinstance(units, str):
        parts = getattr(thing, "parts", None) or {}
        units = parts[check_choice("units", units, parts)]
    try:
        which = torch.arange(d)[units if isinstance(units, slice) else torch.as_tensor(units)].reshape(-1)
    except (IndexError, TypeError, ValueError, RuntimeError):
        raise ValueError(f"`units`: expected a slice or indices of the {d} units, got {shown(units)}.") from None
    if not len(which) or len(which.unique()) < len(which):
        raise ValueError(f"`units`: expected distinct units, at least one of {d}, got {shown(units)}.")
    return which


def _check_bounded(x: Tensor) -> None:
    if not bool(torch.isfinite(x).all()):
        raise ValueError(
            "`x0`: expected states whose orbits stay bounded, got an orbit that left for infinity. "
            "Start from states that the system visits, or shorten `integration_step`."
        )


class _Bar:
    """A progress bar that appears after two seconds."""

    def __init__(self, show: bool):
        self._bar = progress_bar(desc="Lyapunov exponents", show=show, unit="steps")

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def total(self, n: int) -> None:
        self._bar.total = self._bar.n + n  # of what is still to come

    def tick(self, n: int) -> None:
        self._bar.update(n)
