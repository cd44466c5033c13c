"""Runs with a part of their network silenced, clamped or cut."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from conjugacy._arrays import read_numbers
from conjugacy._check import check_axes, check_finite, check_int, check_list, shown
from conjugacy.networks.lesioned import Lesioned

if TYPE_CHECKING:
    from conjugacy.runs.run import Run


def lesioned(run: Run, units: Any, directions: Any, cluster: Any, to: Any) -> Run:
    """See `Run.lesion`."""
    held = lesion_directions(run, units, directions, cluster)
    network = run.network
    if isinstance(to, str):
        if to not in ("zero", "mean"):
            raise ValueError(f"`to`: expected 'zero', 'mean' or a state, got {shown(to)}.")
        visited = run.rollout("val").latents.reshape(-1, network.state_size).double()
        centre = torch.zeros(network.state_size).double() if to == "zero" else visited.mean(0)
    else:
        centre = read_numbers("to", to, "a state, 'zero' or 'mean'")
        centre = centre.expand(network.state_size) if centre.ndim == 0 else centre
        check_axes("to", centre, "state", state=network.state_size)
        check_finite("to", centre)
    made = Lesioned.of(network, held, centre)
    return replace(run, network=made, metrics={"stopped": "lesioned"}, name=f"{run.name} lesioned", kept=None)


def lesion_directions(run: Run, units: Any, directions: Any, cluster: Any) -> Tensor:
    """Orthonormal rows (k, state) that span what a lesion takes away, after a check of what it was given.

    Raises
    ------
    TypeError, ValueError
        If none or several of the three are given, one is out of range, or nothing would be left of the state.
    """
    given = [
        name
        for name, value in (("units", units), ("directions", directions), ("cluster", cluster))
        if value is not None
    ]
    if len(given) != 1:
        raise ValueError(f"`units`, `directions`, `cluster`: expected one of them, got {', '.join(given) or 'none'}.")
    n, d = run.network.latent_size, run.network.state_size
    if cluster is not None:
        units = _of_cluster(cluster, n)
    if units is not None:
        chosen = unit_list("units", units, n)
        if len(chosen) == n:
            raise ValueError(
                f"`units`: expected some of the {n} units, got all: nothing would be left. Leave some out."
            )
        # a unit of an LSTM has two state variables
        rows = [i + k * n for k in range(d // n) for i in chosen]
        return torch.eye(d, dtype=torch.float64)[rows]
    return orthonormal("directions", directions, d)


def unit_list(name: str, value: Any, n: int) -> list[int]:
    """The sorted indices of units in a list, tuple, array or boolean mask."""
    if hasattr(value, "dtype") and str(value.dtype) in ("bool", "torch.bool"):
        if tuple(value.shape) != (n,):
            raise ValueError(f"`{name}`: expected a mask of {n} units, got {shown(value)}.")
        value = [i for i, on in enumerate(value.tolist()) if on]
    return sorted({check_int(f"{name}[{k}]", i, 0, n - 1) for k, i in enumerate(check_list(name, value, "units"))})


def orthonormal(name: str, value: Any, d: int) -> Tensor:
    """Orthonormal rows (k, D) of the same span as the directions (D,) or (k, D) that are given."""
    rows = read_numbers(name, value, "directions (k, state)")
    rows = rows[None] if rows.ndim == 1 else rows
    check_axes(name, rows, "direction state", "Eigenvectors are the columns of `FixedPoints.modes[0]`.", state=d)
    check_finite(name, rows)
    lengths = rows.norm(dim=1, keepdim=True)
    if bool((lengths == 0).any()):
        raise ValueError(f"`{name}`: expected directions that are not zero, got one of length 0.")
    _, sizes, basis = torch.linalg.svd(rows / lengths, full_matrices=False)
    basis = basis[sizes > 1e-10 * sizes[0]]
    if len(basis) >= d:
        raise ValueError(f"`{name}`: expected fewer than {d} directions, got all of the state: nothing would be left.")
    return basis


def _of_cluster(cluster: Any, n: int) -> list[int]:
    if not isinstance(cluster, Sequence) or len(cluster) != 2 or isinstance(cluster, str):
        raise TypeError(f"`cluster`: expected a pair (labels of the units, which label), got {shown(cluster)}.")
    labels = list(cluster[0].tolist() if hasattr(cluster[0], "tolist") else cluster[0])
    if len(labels) != n:
        raise ValueError(f"`cluster`: expected a label for each of the {n} units, got {len(labels)}.")
    chosen = [i for i, label in enumerate(labels) if label == cluster[1]]
    if not chosen:
        raise ValueError(f"`cluster`: expected one of the labels {sorted(set(labels))}, got {shown(cluster[1])}.")
    return chosen


def cut(run: Run, sources: Any, targets: Any) -> Run:
    """See `Run.cut`."""
    n = run.network.latent_size
    a, b = (
        list(range(n)) if value is None else unit_list(name, value, n)
        for name, value in (("sources", sources), ("targets", targets))
    )
    if sources is None and targets is None:
        raise ValueError("`sources`, `targets`: expected units for one of them, got none: all weights would be cut.")
    network = copy.deepcopy(run.network)
    names = network.recurrent_weights
    if not names:
        raise ValueError(
            f"`run`: expected a network with weights between units, got {run.name}, which has none (low-rank networks "
            "and neural ODEs have factors and layers). Use lesion(units=...) or lesion(directions=...)."
        )
    with torch.no_grad():
        for weight in map(network.get_parameter, names):
            for gate in range(weight.shape[0] // n):
                rows = torch.tensor(b)[:, None] + gate * n
                weight[rows, torch.tensor(a)[None]] = 0.0
    return replace(run, network=network, metrics={"stopped": "lesioned"}, name=f"{run.name} cut", kept=None)
