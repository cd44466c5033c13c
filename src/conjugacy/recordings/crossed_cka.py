"""Linear CKA of measured activity, corrected for noise: products are taken across trials and across units only.

With X_k, Y_k (time, unit) the centred activity of two systems in trial k, and C_k = X_k' Y_k,

    <X, Y> = sum over k != l and over units i, j of C_k[i, j] C_l[i, j]

is the alignment of the two linear kernels over pairs of states from different trials: noise that is independent from
trial to trial adds nothing to it on average. With X in the place of Y the pairs i = j of a unit with itself are left
out too, and what is left is scaled up to all pairs: noise that units do not share adds nothing either. Then

    value = <X, Y> / sqrt(<X, X> <Y, Y>)

estimates the CKA of what trials and units share (Kornblith et al. 2019, arXiv:1905.00414), whatever the firing rates:
two recordings of one system score 1 on average, more or less by chance, so that values above 1 occur. Where <X, X> is
within two standard deviations of nothing, there is no value. Noise that is shared among units, or lasts over trials,
counts as signal; units have to be many, or mixtures of what the system does: what one unit alone shows is left out.
Bins, filters and averages of trials change nothing, as long
as they do not mix trials.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from conjugacy.similarity.measure import Measure
from conjugacy.similarity.samples import Layout, Samples, check_paired, check_varies
from conjugacy.similarity.score import OFF_DATA, Traits, Undefined
from conjugacy.system import System

LEAST_EVIDENCE = 2.0


@dataclass(frozen=True, eq=False)
class CrossedStates:
    """Centred activity of one system.

    Attributes
    ----------
    layout : Layout
    x : array (trial, time, unit)
        Zero past the end of a trial.
    valid : bool array (trial, time)
    counts : array (trial,)
        How often each trial counts.
    own : float
        <X, X>.
    evidence : float
        <X, X> in standard deviations of what it would be if trials and units shared nothing.
    """

    layout: Layout
    x: np.ndarray
    valid: np.ndarray
    counts: np.ndarray
    own: float
    evidence: float

    @property
    def name(self) -> str:
        """Name of the system."""
        return self.layout.name

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return len(self.x)


@dataclass(frozen=True)
class CrossedCKA(Measure):
    """CKA across trials and units, corrected for noise; see the module docstring."""

    @property
    @override
    def traits(self) -> Traits:
        return Traits(
            name="cka_crossed",
            version="1",
            summary="linear CKA of what trials and units share: corrected for noise",
            needs="paired trajectories",
            low=-np.inf,
            high=np.inf,
            perfect=1.0,
            higher_is_more_similar=True,
            invariances=frozenset({"permutation", "scaling", "translation", "observation noise"}),
            blind_to=OFF_DATA,
            estimated=True,
            reference="Kornblith et al. 2019, eq. 3, over pairs of states from different trials",
        )

    @override
    def prepare(self, system: System, train: System | None = None) -> CrossedStates:
        del train  # nothing is fitted across systems
        samples = Samples.of(system)
        check_varies(samples, self.name)
        if samples.n_trials < 2 or samples.n_units < 2:
            raise ValueError(
                f"`system`: {self.name!r} takes products across trials and units, so expected at least 2 of each, got "
                f"{samples.n_trials} trials and {samples.n_units} units in {system.name!r}."
            )
        return _weighted(samples.layout, samples.x, samples.valid, np.ones(samples.n_trials))

    @override
    def resample(self, features: CrossedStates, counts: np.ndarray) -> CrossedStates:
        return _weighted(features.layout, features.x, features.valid, np.asarray(counts, dtype=np.float64))

    @override
    def compare(self, a: CrossedStates, b: CrossedStates) -> tuple[float, dict[str, Any]]:
        check_paired(a.layout, b.layout, self.name)
        for side in (a, b):
            if side.evidence < LEAST_EVIDENCE:
                raise Undefined(
                    f"{self.name!r} finds no more in {side.name!r} that its trials and units share than noise would "
                    "have. Use wider bins, more smoothing, trials or units"
                )
        products = _products(a.x, b.x)
        if (a.counts != 1).any():
            products = products * a.counts[:, None, None]
        return across_trials(products) / float(np.sqrt(a.own * b.own)), {}


def across_trials(products: np.ndarray) -> float:
    """Sum over pairs of different trials k, l and over i, j of ``products[k, i, j] products[l, i, j]``."""
    total, flat = products.sum(0).ravel(), products.ravel()
    return float(total @ total - flat @ flat)


def _products(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.matmul(x.transpose(0, 2, 1), y)


def _weighted(layout: Layout, x: np.ndarray, valid: np.ndarray, counts: np.ndarray) -> CrossedStates:
    steps = (counts * valid.sum(1)).sum()
    mean = np.tensordot(counts, x.sum(1), 1) / steps
    x = (x - mean) * valid[..., None]
    products = _products(x, x) * counts[:, None, None]
    d = x.shape[2]
    products[:, np.arange(d), np.arange(d)] = 0.0
    flat = products.reshape(len(x), -1)
    pairs = flat @ flat.T
    np.fill_diagonal(pairs, 0.0)
    # where trials share nothing, the terms of different pairs of trials have mean 0 and are uncorrelated
    sd = np.sqrt(2 * (pairs**2).sum())
    return CrossedStates(
        layout, x, valid, counts, float(pairs.sum()) * d / (d - 1), float(pairs.sum() / max(sd, 1e-300))
    )
