"""Dynamic mode decomposition with delays: the linear operator that best advances delay-embedded trajectories.

Row t of a trial is embedded as h_t = [x_t, x_(t - interval), ..., x_(t - (n_delays - 1) interval)], x about its mean.
With H the rows of all trials and H = V S U' its singular value decomposition cut to `rank`, the operator in the
whitened coordinates v_t (rows of V) is the least-squares fit

    v_(t + steps) ~ A v_t,        A = [(V_-' V_- + ridge I)^-1 V_-' V_+]',

over all rows t of a trial that have a successor in the same trial: trials never bleed into each other, and may differ
in length. This is the operator of DSA (Ostrow et al. 2023), there without the mean taken out (`center=False`).

Only sums of products are needed. H'H is built from its first block row, since its blocks repeat along the diagonals up
to the first and last rows of each trial, and S, U are its eigenvalues and eigenvectors. Singular values come out with
an error of eps S_1^2 / S_i: where the smallest one kept is below 1e-6 S_1, the R factor of H is decomposed instead.
Every rank up to the one computed is a leading block, and every resample of trials a weighted sum. An embedding can keep
components beyond its rank (`room`), so that a resample of trials chooses its own leading ones: where the cut falls
between components of nearly equal variance, most of what varies from one recording to the next is this choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg as sla

from conjugacy._check import check_choice, check_flag, check_int, check_number, check_options
from conjugacy.similarity.samples import Samples, as_system, check_varies, kind_of, part, split_trials
from conjugacy.system import System


@dataclass(frozen=True, eq=False)
class Embedding:
    """Delay-embedded trajectories of one system in whitened principal coordinates.

    Attributes
    ----------
    name : str
    n_delays, delay_interval, steps : int
    singular : array (component,)
        All singular values of H that were computed, descending.
    axes : array (unit * n_delays, rank)
        U, the newest state first.
    chosen : int
        Leading components that an operator is fitted to; the others, if any, are room for resamples.
    threshold : float
        Singular values above it are kept with rank="optimal"; 0 for another rank.
    coordinates : array (trial, row, rank)
        V; zero past the end of a trial.
    rows : int array (trial,)
        Rows of each trial.
    all, past, cross, future : arrays (trial, rank, rank)
        Sums of v v' over all rows, v_t v_t' and v_t v_(t + steps)' and v_(t + steps) v_(t + steps)' over rows that have
        a successor.
    """

    name: str
    n_delays: int
    delay_interval: int
    steps: int
    singular: np.ndarray
    axes: np.ndarray
    chosen: int
    threshold: float
    coordinates: np.ndarray
    rows: np.ndarray
    all: np.ndarray
    past: np.ndarray
    cross: np.ndarray
    future: np.ndarray

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return len(self.rows)

    @property
    def rank(self) -> int:
        """Number of components kept."""
        return self.axes.shape[1]

    @property
    def cut(self) -> bool:
        """Whether the data have components beyond the chosen ones, so that resamples may choose others."""
        return self.rank > self.chosen

    @property
    def noise_free(self) -> bool:
        """Whether at least half of the singular values are zero but for rounding: noise would have filled them."""
        return 2 * len(self.singular) <= min(len(self.axes), int(self.rows.sum()))


@dataclass(frozen=True, eq=False)
class DMD:
    """A linear operator fitted to trajectories.

    Attributes
    ----------
    embedding : Embedding
    operator : array (rank, rank)
        A of the module docstring: v_(t + steps) ~ A v_t.
    eigenvalues : complex array (rank,)
        Per `steps` time steps, largest modulus first.
    ridge : float
    """

    embedding: Embedding
    operator: np.ndarray
    eigenvalues: np.ndarray
    ridge: float

    @property
    def rank(self) -> int:
        """Size of the operator."""
        return len(self.operator)

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return self.embedding.n_trials

    def residuals(self) -> np.ndarray:
        """Residual of each eigenvalue (rank,), in the order of `eigenvalues` (ResDMD, Colbrook and Townsend 2024).

        The root mean square of g(t + steps) - lambda g(t), relative to that of g(t), for the eigenfunction g: an
        eigenvalue with a residual near |lambda| is an artefact of the fit.
        """
        values, vectors = np.linalg.eig(self.operator.T)
        g, c, f = (getattr(self.embedding, key).sum(0)[: self.rank, : self.rank] for key in ("past", "cross", "future"))

        def form(matrix):
            return np.einsum("ik,ij,jk->k", vectors.conj(), matrix, vectors)

        power = form(g).real
        square = form(f) - values * form(c.T) - values.conj() * form(c) + np.abs(values) ** 2 * power
        order = _by_modulus(values)
        return np.sqrt(np.maximum(square.real, 0) / power)[order]

    def time_constants(self, dt: float = 1.0) -> np.ndarray:
        """Decay times -dt steps / log|lambda| of the modes (rank,), in units of `dt`; negative where modes grow."""
        with np.errstate(divide="ignore"):
            return -dt * self.embedding.steps / np.log(np.abs(self.eigenvalues))


def dmd(
    system: System | Any,
    rank: int | str = "optimal",
    n_delays: int = 1,
    delay_interval: int = 1,
    *,
    steps: int = 1,
    ridge: float = 0.0,
    center: bool = True,
    method: str = "auto",
    seed: int = 0,
) -> DMD:
    """The linear operator that best advances delay-embedded trajectories; see the module docstring.

    Parameters
    ----------
    system : System or array (trial, time, unit)
    rank : int, "optimal" or "held_out"
        Size of the operator. "optimal": the number of singular values above the threshold of Gavish and Donoho (2014)
        for unknown noise, or the numerical rank where there is none (see `optimal_threshold`). "held_out": the rank
        that predicts held-out trials best.
    n_delays, delay_interval : int
        States per row, and time steps between them.
    steps : int
        Time steps that the operator advances.
    ridge : float
        Penalty on the whitened coordinates, in [0, inf).
    center : bool
        Subtract the mean state first.
    method : {"auto", "gram", "qr"}
    seed : int
        Of the split for "held_out".

    Raises
    ------
    ValueError
        If trials are shorter than the embedding, or `rank` exceeds the rank of the data.
    """
    check_number("ridge", ridge, 0)
    check_int("seed", seed, 0)
    if isinstance(rank, str) and rank == "held_out":
        rank = held_out_rank(
            system, n_delays, delay_interval, steps=steps, ridge=ridge, center=center, method=method, seed=seed
        )
    e = embed(system, rank, n_delays, delay_interval, steps=steps, center=center, method=method)
    return fit(e, ridge=ridge)


def embed(
    system: System | Any,
    rank: int | str,
    n_delays: int = 1,
    delay_interval: int = 1,
    *,
    steps: int = 1,
    center: bool = True,
    method: str = "auto",
    room: bool = False,
) -> Embedding:
    """Delay-embedded trajectories in whitened principal coordinates; arguments as in `dmd`, or rank="all".

    With `room`, three times as many components as the rank are kept (ten more, at least), as far as the data have them.
    """
    samples = Samples.of(as_system("system", system))
    check_int("n_delays", n_delays, 1)
    check_int("delay_interval", delay_interval, 1)
    check_int("steps", steps, 1)
    check_flag("center", center)
    check_choice("method", method, ("auto", "gram", "qr"))
    if isinstance(rank, str):
        check_choice("rank", rank, ("optimal", "all", "held_out"), "Or an integer.")
    else:
        check_int("rank", rank, 1, hint="Or 'optimal' or 'held_out'.")
    check_varies(samples, "dmd")
    need = (n_delays - 1) * delay_interval + steps + 1
    if samples.lengths.min() < need:
        k = int(samples.lengths.argmin())
        raise ValueError(
            f"`n_delays`: {n_delays} delays {delay_interval} steps apart need trials of at least {need} steps, got "
            f"{samples.lengths[k]} in trial {k} of {samples.name!r}. Use fewer delays, or drop short trials."
        )
    x = samples.x - samples.rows().mean(0) if center else samples.x
    x = np.where(samples.valid[..., None], x, 0.0)
    asked = rank + _room(rank) if room and isinstance(rank, int) else rank
    s, u = _principal(x, samples.lengths, n_delays, delay_interval, rank, asked, method)
    chosen = _choose_rank(rank, s, x, samples, n_delays, delay_interval)
    n_keep = min(len(s), chosen + _room(chosen)) if room else chosen
    u = u[:, :n_keep]
    v, rows = _coordinates(x, samples.lengths, u / s[:n_keep], n_delays, delay_interval)
    threshold = _threshold(s, (int(rows.sum()), len(u))) if rank == "optimal" else 0.0
    products = _products(v, rows, steps)
    return Embedding(samples.name, n_delays, delay_interval, steps, s, u, chosen, threshold, v, rows, *products)


def _room(rank: int) -> int:
    return max(10, 2 * rank)


def fit(embedding: Embedding, rank: int | None = None, ridge: float = 0.0, counts: np.ndarray | None = None) -> DMD:
    """The operator of rank `rank` (None: as chosen) from an embedding, each trial counted `counts` (trial,) times.

    With counts, the leading components are chosen and whitened anew, within those kept: nothing is read but sums.
    """
    e, n = embedding, embedding.chosen if rank is None else rank
    check_int("rank", n, 1, embedding.rank)
    if counts is None:
        g00, g01 = e.past.sum(0)[:n, :n], e.cross.sum(0)[:n, :n]
    else:
        w = counts.astype(float)
        scale = e.singular[: e.rank]
        values, vectors = _weighted_components(e, w)
        if rank is None and e.threshold:
            share = (w @ e.rows) / e.rows.sum()
            n = max(1, int((values > share * e.threshold**2).sum()))
        values, vectors = values[:n], vectors[:, :n]
        white = scale[:, None] * vectors / np.sqrt(np.maximum(values, values[0] * 1e-20))
        g00, g01 = (white.T @ np.tensordot(w, g, 1) @ white for g in (e.past, e.cross))
    gram = g00 + ridge * np.eye(n)
    try:
        a = sla.solve(gram, g01, assume_a="sym").T
    except sla.LinAlgError:
        # some direction is seen in the last steps only: of all operators that fit, the least one
        a = np.linalg.lstsq(gram, g01, rcond=1e-12)[0].T
    values = np.linalg.eigvals(a)
    return DMD(e, a, values[_by_modulus(values)], ridge)


def _weighted_components(e: Embedding, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared singular values (descending) and axes, in the coordinates of `e.axes`, of trials that weigh `weights`."""
    scale = e.singular[: e.rank]
    values, vectors = sla.eigh(np.tensordot(weights, e.all, 1) * np.outer(scale, scale))
    return values[::-1], vectors[:, ::-1]


def cut_stability(embedding: Embedding, halves: np.ndarray) -> float:
    """How well the data fix the subspace of the chosen components: 1, wholly; 0, one of its axes is arbitrary.

    The median over splits of the smallest cosine between the subspaces of two disjoint halves of the trials; rows 2 i
    and 2 i + 1 of `halves` (half, trial) count the trials of split i. 1.0 where nothing is cut off.
    """
    e, n = embedding, embedding.chosen
    if not e.cut:
        return 1.0
    axes = [_weighted_components(e, w.astype(float))[1][:, :n] for w in halves]
    return float(np.median([np.linalg.svd(a.T @ b, compute_uv=False)[-1] for a, b in zip(axes[::2], axes[1::2])]))


def rank_with_a_gap(embedding: Embedding) -> int:
    """The rank nearest to the chosen one after which the variance of components drops by a half or more.

    If there is none, the one after which it drops most.
    """
    s = embedding.singular[: embedding.rank]
    drop = s[:-1] ** 2 / s[1:] ** 2  # of rank 1, 2, ...
    clear = np.flatnonzero(drop >= 2) + 1
    if not len(clear):
        return int(drop.argmax()) + 1
    return int(clear[np.abs(clear - embedding.chosen).argmin()])


def sweep(
    system: System | Any,
    ranks: list[int],
    n_delays: list[int],
    delay_interval: int = 1,
    *,
    train: float = 0.8,
    seed: int = 0,
    **options: Any,
) -> dict[tuple[int, int], dict[str, Any]]:
    """Operators and their held-out prediction for all (rank, n_delays); one decomposition for each number of delays.

    Returns
    -------
    dict
        ``{(rank, n_delays): {"dmd": DMD on all trials, "r2": share of the variance of the embedded states of held-out
        trials that a one-step prediction explains}}``; combinations beyond the rank of the data are left out.
    """
    check_options(options, "sweep", dmd)
    ranks, n_delays = integer_list("ranks", ranks), integer_list("n_delays", n_delays)
    check_number("train", train, 0, 1, open_low=True)
    check_int("seed", seed, 0)
    system = as_system("system", system)
    chosen = split_trials(system.n_trials, train, seed) if system.n_trials > 1 else None
    out: dict[tuple[int, int], dict[str, Any]] = {}
    for d in n_delays:
        most = embed(system, "all", d, delay_interval, **options).rank
        wanted = [r for r in ranks if r <= most]
        if not wanted:
            continue
        e = embed(system, max(wanted), d, delay_interval, **options)
        r2 = {r: float("nan") for r in wanted}
        if chosen is not None:
            fitted, held = (part(system, "trials", np.flatnonzero(c)) for c in (chosen, ~chosen))
            r2 = prediction_r2(fitted, held, wanted, d, delay_interval, **options)
        for r in wanted:
            out[r, d] = {"dmd": fit(e, r), "r2": r2.get(r, float("nan"))}
    return out


def prediction_r2(
    train: System, test: System, ranks: list[int], n_delays: int = 1, delay_interval: int = 1, **options: Any
) -> dict[int, float]:
    """Share of the variance of the embedded states of `test` that operators of `train` predict, for each rank."""
    ridge = options.pop("ridge", 0.0)
    e = embed(train, "all", n_delays, delay_interval, **options)
    samples, fitted = Samples.of(test), Samples.of(train)
    mean = fitted.rows().mean(0) if options.get("center", True) else 0.0
    x = np.where(samples.valid[..., None], samples.x - mean, 0.0)
    v, rows = _coordinates(x, samples.lengths, e.axes / e.singular[: e.rank], n_delays, delay_interval)
    past = np.concatenate([v[k, : n - e.steps] for k, n in enumerate(rows)]) * e.singular[: e.rank]
    future = np.concatenate([v[k, e.steps : n] for k, n in enumerate(rows)]) * e.singular[: e.rank]
    total = sum(
        (_hankel(x[k, :t], n_delays, delay_interval)[e.steps :] ** 2).sum() for k, t in enumerate(samples.lengths)
    )
    outside = total - (future**2).sum()
    r2 = {}
    for r in ranks:
        if r <= e.rank:
            s = e.singular[:r]
            a = fit(e, r, ridge).operator * np.outer(s, 1 / s)
            error = ((future[:, :r] - past[:, :r] @ a.T) ** 2).sum() + (future[:, r:] ** 2).sum() + outside
            r2[r] = float(1 - error / total)
    return r2


def held_out_rank(
    system: System | Any,
    n_delays: int = 1,
    delay_interval: int = 1,
    *,
    train: float = 0.8,
    seed: int = 0,
    tolerance: float = 1e-3,
    **options: Any,
) -> int:
    """The smallest rank whose one-step prediction of held-out trials is within `tolerance` (in R2) of the best."""
    check_options(options, "held_out_rank", dmd)
    check_number("train", train, 0, 1, open_low=True)
    check_number("tolerance", tolerance, 0)
    check_int("seed", seed, 0)
    system = as_system("system", system)
    chosen = split_trials(system.n_trials, train, seed)
    fitted, held = (part(system, "trials", np.flatnonzero(c)) for c in (chosen, ~chosen))
    most = embed(fitted, "all", n_delays, delay_interval, **{k: v for k, v in options.items() if k != "ridge"}).rank
    r2 = prediction_r2(fitted, held, list(range(1, most + 1)), n_delays, delay_interval, **options)
    best = max(r2.values())
    return min(r for r, value in r2.items() if value >= best - tolerance)


def integer_list(name: str, values: Any) -> list[int]:
    """`values` as different integers >= 1 in rising order, or say what is wrong with them."""
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__") or getattr(values, "ndim", 1) == 0:
        raise TypeError(f"`{name}`: expected a list of integers >= 1, got {kind_of(values)}.")
    checked = sorted({check_int(f"{name}[{i}]", value, 1) for i, value in enumerate(values)})
    if not checked:
        raise ValueError(f"`{name}`: expected at least one integer >= 1, got an empty list.")
    return checked


def optimal_threshold(singular: np.ndarray, shape: tuple[int, int]) -> int:
    """Number of singular values above the threshold of Gavish and Donoho (2014) for a matrix with unknown noise.

    The threshold is a multiple of the median of all min(shape) singular values, of which `singular` may hold the
    leading ones: the others are zero. It is zero where at least half of them are, so that data without noise keep
    their numerical rank. It takes for noise what fills half of the singular values or more: where signals do, it cuts
    signals, and more delays help.
    """
    return max(1, int((singular > _threshold(singular, shape)).sum()))


def _threshold(singular: np.ndarray, shape: tuple[int, int]) -> float:
    every = np.zeros(max(min(shape), len(singular)))
    every[: len(singular)] = singular
    beta = min(shape) / max(shape)
    omega = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43
    return float(omega * np.median(every))


def _hankel(x: np.ndarray, n_delays: int, interval: int) -> np.ndarray:
    n = len(x) - (n_delays - 1) * interval
    return np.concatenate([x[(n_delays - 1 - i) * interval :][:n] for i in range(n_delays)], axis=1)


def hankel_gram(x: np.ndarray, lengths: np.ndarray, n_delays: int, interval: int) -> np.ndarray:
    """H'H for trajectories x (trial, time, unit), zero past the end of trials, from its first block row."""
    _, t, n = x.shape
    d, tau = n_delays, interval
    first = (d - 1) * tau
    gram = np.empty((d, n, d, n))
    newest = x[:, first:].reshape(-1, n)
    for j in range(d):
        block = newest.T @ x[:, first - j * tau : t - j * tau].reshape(-1, n)
        gram[0, :, j], gram[j, :, 0] = block, block.T
    if d > 1:
        # block (i + 1, j + 1) sums the rows of block (i, j), all `tau` steps earlier: some enter, some leave
        lags = np.arange(d - 1) * tau
        enter = np.arange(first - tau, first)[:, None] - lags
        leave = lengths[:, None, None] - tau + np.arange(tau)[:, None] - lags
        trial = np.arange(len(x))
        h_in = x[:, enter].reshape(-1, (d - 1) * n)
        h_out = x[trial[:, None, None], leave].reshape(-1, (d - 1) * n)
        change = (h_in.T @ h_in - h_out.T @ h_out).reshape(d - 1, n, d - 1, n)
        for i in range(d - 1):
            for j in range(i, d - 1):
                block = gram[i, :, j] + change[i, :, j]
                gram[i + 1, :, j + 1], gram[j + 1, :, i + 1] = block, block.T
    return gram.reshape(d * n, d * n)


def _principal(
    x: np.ndarray,
    lengths: np.ndarray,
    n_delays: int,
    interval: int,
    rank: int | str,
    asked: int | str,
    method: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Singular values and right singular vectors of H that stand out from rounding: the first `asked`, or all."""
    p = x.shape[2] * n_delays
    n_rows = int((lengths - (n_delays - 1) * interval).sum())
    if method != "qr" and n_rows >= p:
        gram = hankel_gram(x, lengths, n_delays, interval)
        some = isinstance(asked, int) and asked < p // 4
        subset = (p - int(asked) - 1, p - 1) if some else None
        values, vectors = sla.eigh(gram, subset_by_index=subset, check_finite=False)
        s = np.sqrt(np.maximum(values[::-1], 0.0))
        u = vectors[:, ::-1]
        last = s[min(rank, len(s)) - 1] if isinstance(rank, int) else s[-1]
        if method == "gram" or last > 1e-6 * s[0]:
            keep = s > 1e-7 * s[0]
            return s[keep], u[:, keep]
    r = np.empty((0, p))
    for k, t in enumerate(lengths):
        r = np.concatenate([r, _hankel(x[k, :t], n_delays, interval)])
        if len(r) > (p if k == len(lengths) - 1 else 4 * p):
            r = sla.qr(r, mode="r", check_finite=False)[0][:p]
    _, s, vt = sla.svd(r, full_matrices=False, check_finite=False)
    keep = s > 1e-12 * s[0]
    return s[keep], vt[keep].T


def _choose_rank(rank: int | str, s: np.ndarray, x: np.ndarray, samples: Samples, n_delays: int, interval: int) -> int:
    p = x.shape[2] * n_delays
    n_rows = int((samples.lengths - (n_delays - 1) * interval).sum())
    if rank == "optimal":
        return min(optimal_threshold(s, (n_rows, p)), len(s))
    if isinstance(rank, str):
        return len(s)
    if rank > len(s):
        raise ValueError(
            f"`rank`: the embedded trajectories of {samples.name!r} ({x.shape[2]} units x {n_delays} delays, {n_rows} "
            f"rows) have rank {len(s)}, got {rank}. Use rank <= {len(s)} for all systems compared, or more delays."
        )
    return rank


def _coordinates(
    x: np.ndarray, lengths: np.ndarray, axes: np.ndarray, n_delays: int, interval: int
) -> tuple[np.ndarray, np.ndarray]:
    """Embedded rows times `axes`, (trial, row, component), without forming the rows; and the rows of each trial."""
    k, t, n = x.shape
    span = (n_delays - 1) * interval
    v = np.zeros((k, t - span, axes.shape[1]))
    for i in range(n_delays):
        start = span - i * interval
        v += x[:, start : start + t - span] @ axes[i * n : (i + 1) * n]
    rows = lengths - span
    v[np.arange(t - span) >= rows[:, None]] = 0.0
    return v, rows


def _products(v: np.ndarray, rows: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    past, future = v[:, :-steps].copy(), v[:, steps:]
    # rows whose successor lies past the end of the trial, where `future` is zero
    past[np.arange(past.shape[1]) >= (rows - steps)[:, None]] = 0.0
    pt = past.transpose(0, 2, 1)
    return v.transpose(0, 2, 1) @ v, pt @ past, pt @ future, future.transpose(0, 2, 1) @ future


def _by_modulus(values: np.ndarray) -> np.ndarray:
    return np.lexsort((np.imag(values), np.real(values), -np.round(np.abs(values), 12)))
