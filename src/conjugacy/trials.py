"""Trials: one data set of a task. Rollout: a network run on it.

Row t of `targets` is the answer wanted after the input of row t has been seen; row t of `latents` and `outputs`
is the state and the output after it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from conjugacy._check import check_axes, check_finite, check_int, check_options, shown


@dataclass(frozen=True, eq=False)
class Trials:
    """One data set of a task; all trials have the same number of steps, shorter ones are masked.

    Attributes
    ----------
    inputs : Tensor (trial, time, input), float32
        What the network sees of the world, noise included. In closed loop: the context inputs alone.
    targets : Tensor (trial, time, output), float32
        What its outputs (or the hand it moves) should be.
    mask : Tensor (trial, time, output), bool
        True where the answer counts. May be given as (trial, time).
    true_inputs : Tensor (trial, time, input), float32
        `inputs` before noise.
    ics : Tensor (trial, plant state), float32
        Initial conditions of the plant; no columns where there is no plant.
    loads : Tensor (trial, time, load), float32
        Forces on the plant; no columns where there are none.
    conditions : Tensor (trial,), int64
        The condition that each trial belongs to; 0 where there is just one.
    epochs : dict of str to Tensor (trial, 2), int64
        First step and step after the last one of each named epoch of a trial.
    """

    inputs: Tensor
    targets: Tensor
    mask: Tensor
    true_inputs: Tensor
    ics: Tensor
    loads: Tensor
    conditions: Tensor
    epochs: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self):
        n, t, i = check_axes("inputs", self.inputs, "trial time input")
        o = check_axes("targets", self.targets, "trial time output", trial=n, time=t)[2]
        if isinstance(self.mask, Tensor) and self.mask.ndim == 2:
            check_axes("mask", self.mask, "trial time", trial=n, time=t)
            object.__setattr__(self, "mask", self.mask[..., None].expand(n, t, o))
        check_axes("mask", self.mask, "trial time output", trial=n, time=t, output=o)
        check_axes("true_inputs", self.true_inputs, "trial time input", trial=n, time=t, input=i)
        check_axes("ics", self.ics, "trial state", trial=n)
        check_axes("loads", self.loads, "trial time load", trial=n, time=t)
        check_axes("conditions", self.conditions, "trial", trial=n)
        if not isinstance(self.epochs, dict):
            raise TypeError(f"`epochs`: expected a dict of name to steps (trial, 2), got {shown(self.epochs)}.")
        for name, steps in self.epochs.items():
            check_axes(f"epochs[{name!r}]", steps, "trial edge", trial=n, edge=2)
        for name in ("inputs", "targets", "true_inputs", "ics", "loads"):
            check_finite(name, getattr(self, name))

    @classmethod
    def from_tensors(cls, inputs: Tensor, targets: Tensor, **others: Any) -> Trials:
        """Trials with the fields that are not given left at what they are without plant, noise, mask or epochs."""
        check_options(others, "Trials.from_tensors", cls)
        n, t, _ = check_axes("inputs", inputs, "trial time input")
        rest = {
            "mask": torch.ones(1, 1, dtype=torch.bool).expand(n, t),
            "true_inputs": inputs,
            "ics": inputs.new_zeros(n, 0),
            "loads": inputs.new_zeros(n, t, 0),
            "conditions": torch.zeros(n, dtype=torch.int64),
        }
        return cls(inputs, targets, **{**rest, **others})

    def __len__(self) -> int:
        return self.inputs.shape[0]

    @property
    def n_timesteps(self) -> int:
        """Number of steps of a trial."""
        return self.inputs.shape[1]

    def __getitem__(self, which: Any) -> Trials:
        """The trials picked by a slice, a list of indices, a boolean mask or an index tensor."""
        if isinstance(which, int):
            which = [which]
        picked = {f.name: getattr(self, f.name)[which] for f in fields(self) if f.name != "epochs"}
        return Trials(**picked, epochs={name: steps[which] for name, steps in self.epochs.items()})

    def first(self, n_timesteps: int) -> Trials:
        """The same trials cut off after `n_timesteps` steps (epochs are clipped)."""
        check_int("n_timesteps", n_timesteps, 1)
        cut = {
            name: getattr(self, name)[:, :n_timesteps] for name in ("inputs", "targets", "mask", "true_inputs", "loads")
        }
        epochs = {name: steps.clamp(max=n_timesteps) for name, steps in self.epochs.items()}
        return replace(self, **cut, epochs=epochs)

    @property
    def lengths(self) -> Tensor:
        """Number of steps of each trial (trial,), int64: up to its last epoch, or to its last answer that counts.

        Trials without epochs all last `n_timesteps`.
        """
        whole = torch.full((len(self),), self.n_timesteps, device=self.mask.device)
        if not self.epochs:
            return whole
        step = torch.arange(1, self.n_timesteps + 1, device=self.mask.device)
        ends = [steps[:, 1] for steps in self.epochs.values()]
        last = torch.stack([*ends, (self.mask.any(2) * step).amax(1)]).amax(0)
        return torch.where(last > 0, last, whole)

    def last_counted_step(self) -> int:
        """Number of steps up to the last one whose answer counts in any trial; what follows can be cut off."""
        counted = self.mask.any(2).any(0).nonzero()
        return int(counted[-1]) + 1 if len(counted) else self.n_timesteps

    def to(self, device: torch.device | str, **options: Any) -> Trials:
        """The same trials on another device."""
        moved = {f.name: getattr(self, f.name).to(device, **options) for f in fields(self) if f.name != "epochs"}
        return Trials(**moved, epochs={name: steps.to(device, **options) for name, steps in self.epochs.items()})

    def digest(self) -> str:
        """SHA-256 of every value: equal for equal trials, whatever made them."""
        sha = hashlib.sha256()
        tensors = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "epochs"}
        for name, x in sorted({**tensors, **{f"epochs.{k}": v for k, v in self.epochs.items()}}.items()):
            sha.update(f"{name} {tuple(x.shape)} {x.dtype}".encode())
            sha.update(x.detach().cpu().contiguous().numpy().tobytes())
        return sha.hexdigest()

    def __repr__(self) -> str:
        n, t, i = self.inputs.shape
        return f"Trials({n} trials x {t} steps, {i} inputs, {self.targets.shape[2]} outputs)"


@dataclass(frozen=True, eq=False)
class Rollout:
    """A network run on Trials.

    Attributes
    ----------
    latents : Tensor (trial, time, unit)
        States after each input.
    outputs : Tensor (trial, time, output)
        What is compared with the targets: the readout, or in closed loop what the plant makes of it.
    actions : Tensor (trial, time, action) or None
        Commands to the plant; None in open loop.
    observations : Tensor (trial, time, observation) or None
        What the network saw of the plant; None in open loop.
    plant : NamedTuple of Tensors (trial, time, ...) or None
        States of the plant's body after each step, for example a `conjugacy.arm.ArmState`; None in open loop.
    """

    latents: Tensor
    outputs: Tensor
    actions: Tensor | None = None
    observations: Tensor | None = None
    plant: Any = None

    def __getitem__(self, which: Any) -> Rollout:
        """The trials picked by a slice, a list of indices, a boolean mask or an index tensor."""
        if isinstance(which, int):
            which = [which]
        return self._each(lambda x: x[which])

    def first(self, n_timesteps: int) -> Rollout:
        """The same rollout cut off after `n_timesteps` steps."""
        return self._each(lambda x: x[:, :n_timesteps])

    def cpu(self) -> Rollout:
        """The same rollout on the CPU."""
        return self._each(lambda x: x.cpu())

    @classmethod
    def cat(cls, rollouts: Sequence[Rollout]) -> Rollout:
        """Rollouts of the same network on several sets of trials as one."""
        first = rollouts[0]
        merged = {f.name: _cat([getattr(r, f.name) for r in rollouts]) for f in fields(first)}
        return cls(**merged)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Rollout:
        def changed(x: Any) -> Any:
            if isinstance(x, tuple):
                return type(x)(*map(changed, x))
            return change(x) if isinstance(x, Tensor) else x

        return Rollout(**{f.name: changed(getattr(self, f.name)) for f in fields(self)})


def _cat(parts: list[Any]) -> Any:
    if isinstance(parts[0], tuple):
        return type(parts[0])(*(_cat(list(x)) for x in zip(*parts)))
    return torch.cat(parts) if isinstance(parts[0], Tensor) else parts[0]
