"""Delay embeddings from sums over all trials at once, for operators that are fitted once and thrown away.

With g_t = [x_t, ..., x_(t - d)], rows of one delay more than the d wanted, the sum of g_t g_t' over all t holds in its
blocks what a fit needs: that of past rows h_(t - 1) h_(t - 1)', of future ones h_t h_t', and h_(t - 1) h_t'. The last
row of each trial, which has no successor, completes the first to H'H. Neither the embedded rows nor sums by trial are
formed, which is most of the work of `embed` and serves resamples only.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg as sla

from conjugacy.similarity.dmd import Embedding, embed, hankel_gram
from conjugacy.similarity.samples import Samples, check_varies
from conjugacy.system import System

_ACCURATE = 1e-5  # smallest singular value over the largest one, above which sums lose nothing that matters


def embed_as_one(
    system: System, rank: int | str, n_delays: int, delay_interval: int = 1, *, center: bool = True
) -> Embedding:
    """`embed`, with sums over all trials in the place of those of a single trial, and no coordinates of rows.

    What sums cannot tell with enough digits (or at all: another rank than an integer, steps between delays) is
    embedded by `embed`, which also says what is wrong with arguments.
    """
    samples = Samples.of(system)
    n = samples.x.shape[2]
    p, n_rows = n * n_delays, int((samples.lengths - n_delays + 1).sum())
    plain = isinstance(rank, int) and delay_interval == 1 and rank <= p <= n_rows
    if not plain or samples.lengths.min() < n_delays + 1:
        return embed(system, rank, n_delays, delay_interval, center=center)
    check_varies(samples, "dmd")
    x = samples.x
    if center:
        x = x - x.sum((0, 1)) / samples.lengths.sum()
        if samples.lengths.min() < x.shape[1]:
            x = np.where(samples.valid[..., None], x, 0.0)
    longer = hankel_gram(x, samples.lengths, n_delays + 1, 1)
    past, cross, future = longer[n:, n:], longer[n:, :p], longer[:p, :p]
    newest = samples.lengths[:, None] - 1 - np.arange(n_delays)
    last = x[np.arange(len(x))[:, None], newest].reshape(len(x), p)
    subset = (p - int(rank), p - 1) if int(rank) < p // 4 else None
    values, vectors = sla.eigh(past + last.T @ last, subset_by_index=subset, check_finite=False)
    s = np.sqrt(np.maximum(values[::-1][: int(rank)], 0.0))
    if not s[-1] > _ACCURATE * s[0]:
        return embed(system, rank, n_delays, delay_interval, center=center)
    u = vectors[:, ::-1][:, : int(rank)]
    white = u / s
    sums = [white.T @ g @ white for g in (past, cross, future)]
    return Embedding(
        samples.name,
        n_delays,
        delay_interval,
        1,
        s,
        u,
        int(rank),
        0.0,
        np.zeros((1, 0, int(rank))),
        np.array([n_rows]),
        np.eye(int(rank))[None],
        *(g[None] for g in sums),
    )
