"""DMD with delays: agreement with the SVD route, trials kept apart, rank rules, residuals."""

import numpy as np
import pytest

from conjugacy import System
from conjugacy.similarity.dmd import dmd, embed, fit, hankel_gram, held_out_rank, optimal_threshold, sweep


def hankel(x, d, tau):
    """One trial, by its definition, newest state first."""
    return np.array([np.concatenate([x[t - i * tau] for i in range(d)]) for t in range((d - 1) * tau, len(x))])


def reference(trials, d, tau, rank, steps=1):
    """Eigenvalues by the SVD of the stacked Hankel matrix."""
    mean = np.concatenate(trials).mean(0)
    blocks = [hankel(x - mean, d, tau) for x in trials]
    u, _, _ = np.linalg.svd(np.concatenate(blocks), full_matrices=False)
    v = np.split(u[:, :rank], np.cumsum([len(b) for b in blocks])[:-1])
    past, future = np.concatenate([b[:-steps] for b in v]), np.concatenate([b[steps:] for b in v])
    return np.linalg.eigvals(np.linalg.lstsq(past, future, rcond=None)[0])


def far(x, y):
    """Largest distance of a point of x from the nearest one of y."""
    return np.abs(x[:, None] - y[None]).min(1).max()


@pytest.mark.parametrize(("d", "tau", "steps"), [(1, 1, 1), (4, 1, 1), (3, 2, 1), (2, 5, 3)])
@pytest.mark.parametrize("method", ["gram", "qr"])
def test_eigenvalues_equal_those_of_the_svd(make_trajectories, d, tau, steps, method):
    x = make_trajectories(0)
    rank = min(7, 5 * d)
    expected = reference(list(x), d, tau, rank, steps)
    got = dmd(x, rank, d, tau, steps=steps, method=method).eigenvalues
    assert far(expected, got) < 1e-10 and far(got, expected) < 1e-10


def test_ragged_trials_never_bleed_into_each_other(make_trajectories):
    x = make_trajectories(1)
    trials = [t[:n] for t, n in zip(x, np.random.default_rng(0).integers(9, 19, len(x)))]
    system = System.from_arrays("ragged", trials)
    got = dmd(system, 6, 3, 2).eigenvalues
    assert far(reference(trials, 3, 2, 6), got) < 1e-10
    garbage = System("ragged", system.trajectories.clone(), None, system.lengths)
    garbage.trajectories[~system.valid] = 1e3
    assert np.array_equal(dmd(garbage, 6, 3, 2).eigenvalues, got)


@pytest.mark.parametrize(("d", "tau"), [(1, 1), (5, 1), (3, 4), (2, 7)])
def test_gram_from_its_first_block_row(make_trajectories, d, tau):
    x = make_trajectories(2)
    lengths = np.random.default_rng(1).integers(13, 19, len(x))
    x = np.where(np.arange(19)[:, None] < lengths[:, None, None], x, 0.0)
    h = np.concatenate([hankel(t[:n], d, tau) for t, n in zip(x, lengths)])
    np.testing.assert_allclose(hankel_gram(x, lengths, d, tau), h.T @ h, atol=1e-10)


def test_badly_conditioned_data_take_the_qr_path(make_trajectories):
    x = make_trajectories(3) * np.array([1, 1e-3, 1e-5, 1e-7, 1e-8])
    expected = reference(list(x), 1, 1, 5)
    assert far(expected, dmd(x, 5).eigenvalues) < 1e-6
    with pytest.raises(ValueError, match=r"`rank`: .* have rank 3, got 5"):
        dmd(x, 5, method="gram")


def test_a_linear_map_is_recovered():
    rng = np.random.default_rng(0)
    a = np.array([[0.9, 0.3, 0.0], [-0.3, 0.9, 0.1], [0.0, 0.0, 0.5]])
    x = [rng.normal(size=(11, 3))]
    for _ in range(12):
        x.append(x[-1] @ a.T)
    m = dmd(np.stack(x, 1), 3, center=False)
    assert far(np.linalg.eigvals(a), m.eigenvalues) < 1e-12
    assert m.residuals().max() < 1e-7
    expected = -0.01 / np.log(np.abs(m.eigenvalues))
    np.testing.assert_allclose(m.time_constants(0.01), expected)


def test_residuals_tell_modes_from_artefacts(make_trajectories):
    rng = np.random.default_rng(4)
    phase = rng.uniform(0, 6, 31)[:, None] + 0.4 * np.arange(40)
    x = np.stack([np.cos(phase), np.sin(phase), 0.1 * rng.normal(size=phase.shape)], 2)
    m = dmd(x, 3)
    on_circle = np.abs(np.abs(m.eigenvalues) - 1) < 1e-3
    assert on_circle.sum() == 2
    assert m.residuals()[on_circle].max() < 0.02 < 0.9 < m.residuals()[~on_circle].min()


def test_resampled_operator_equals_the_one_of_repeated_trials(make_trajectories):
    x = make_trajectories(5)
    counts = np.random.default_rng(2).multinomial(23, np.full(23, 1 / 23))
    repeated = x[np.repeat(np.arange(23), counts)]
    # full rank: the subspace held is the whole space; without the mean, which the resample leaves as it was
    e = embed(x, "all", 2, center=False)
    assert far(fit(e, counts=counts).eigenvalues, dmd(repeated, 10, 2, center=False).eigenvalues) < 1e-8


def test_lower_ranks_are_leading_blocks(make_trajectories):
    x = make_trajectories(6)
    assert far(fit(embed(x, 9, 3), 4).eigenvalues, dmd(x, 4, 3).eigenvalues) < 1e-12


def test_threshold_finds_the_rank_of_signal_in_noise():
    rng = np.random.default_rng(0)
    h = 3 * rng.normal(size=(400, 4)) @ rng.normal(size=(4, 60)) + rng.normal(size=(400, 60))
    assert optimal_threshold(np.linalg.svd(h, compute_uv=False), h.shape) == 4


def test_held_out_rank_finds_the_order_of_a_linear_system():
    rng = np.random.default_rng(1)
    a = np.kron(np.eye(2), [[0.8, 0.5], [-0.5, 0.8]])
    x = [rng.normal(size=(25, 4))]
    for _ in range(29):
        x.append(x[-1] @ a.T)
    y = np.stack(x, 1) @ rng.normal(size=(4, 9)) + 1e-3 * rng.normal(size=(25, 30, 9))
    assert held_out_rank(y) == 4
    assert dmd(y, "held_out").rank == 4


def test_sweep_gives_the_same_operators_as_single_fits(make_trajectories):
    x = make_trajectories(7)
    grid = sweep(x, [2, 5, 99], [1, 3])
    assert set(grid) == {(2, 1), (5, 1), (2, 3), (5, 3)}
    for (rank, d), cell in grid.items():
        assert far(cell["dmd"].eigenvalues, dmd(x, rank, d).eigenvalues) < 1e-12
        assert cell["r2"] <= 1
    assert grid[5, 1]["r2"] > grid[2, 1]["r2"]


@pytest.mark.parametrize(
    ("rank", "options", "message"),
    [
        (6, {}, r"`rank`: the embedded trajectories of 'system' \(5 units x 1 delays, 437 rows\) have rank 5, got 6"),
        (0, {}, "`rank`: expected an integer >= 1"),
        ("best", {}, "`rank`: expected one of 'optimal'"),
        (
            3,
            {"n_delays": 19},
            "`n_delays`: 19 delays 1 steps apart need trials of at least 20 steps, got 19 in trial 0",
        ),
        (3, {"ridge": -1.0}, "`ridge`: expected a number"),
        (3, {"method": "svd"}, "`method`: expected one of"),
    ],
)
def test_bad_arguments_are_named(make_trajectories, rank, options, message):
    with pytest.raises(ValueError, match=message):
        dmd(make_trajectories(0), rank, **options)
