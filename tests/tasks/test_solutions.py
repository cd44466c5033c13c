"""What docs/tasks.md says of the solution of each task, looked at in a network that has learned it.

Each test trains a GRU by the recipe of the task, then looks with `conjugacy.dynamics`.
"""

import math
from functools import cache

import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy import tasks
from conjugacy.dynamics import as_map, find_cycles, fixed_points, lyapunov_spectrum
from conjugacy.networks import EIRNN, GRU, ChaoticRateRNN, ChaoticVanillaRNN

pytestmark = pytest.mark.slow


@cache
def trained(make, network=lambda: GRU(32)):
    run = cj.train(make(), network(), seed=0, batch_size=32, progress=False)
    print(f"\n{run} after {run.metrics['steps']} steps, {run.metrics['seconds']:.0f} s, {run.metrics}")
    return run


def states_at(run, trials, step):
    """Latents of trial k after step[k], in float64."""
    latents = run.rollout(trials).latents
    return latents[torch.arange(len(trials)), step].double()


def relaxed(run, states, inputs, steps):
    """Where the states go when an input is held."""
    u = torch.tensor(inputs, dtype=torch.float64).expand(len(states), -1)
    step = run.system(run.trials("test")[:1]).step
    for _ in range(steps):
        states = step(states, u)
    return states


def moduli(run, states, inputs, k=5):
    """The k largest moduli of the eigenvalues of the Jacobian at each state, (state, k)."""
    u = torch.tensor(inputs, dtype=torch.float64).expand(len(states), -1)
    jacobians = as_map(run.system(run.trials("test")[:1])).jacobians(states, u)[0]
    return torch.linalg.eigvals(jacobians).abs().sort(dim=1, descending=True).values[:, :k]


def along_a_line(states, value):
    """Share of the variance along the first principal component, and its rank correlation with a value."""
    centred = states - states.mean(0)
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    ranks = [torch.argsort(torch.argsort(v)).double() for v in (u[:, 0], value)]
    return float(s[0] ** 2 / s.square().sum()), abs(float(torch.corrcoef(torch.stack(ranks))[0, 1]))


def test_bits_are_corners_of_a_cube_of_fixed_points():
    task = lambda: tasks.NBitFlipFlop(n=2, n_timesteps=150)  # noqa: E731
    run = trained(task)
    assert run.metrics["test_accuracy"] > 0.98
    points = fixed_points(run, inputs=0, n_inits=256, seed=0, progress=False)
    stable = points[(points.n_unstable == 0).numpy() & points.fixed]
    held = (points.dynamics.readout(stable.x) > 0.5).int()
    print(points)
    assert len(held.unique(dim=0)) == 4


def test_clicks_are_counted_along_a_line():
    run = trained(tasks.PoissonClicks)
    assert run.metrics["test_accuracy"] > 0.95
    trials = run.trials("test")[:200]
    end = trials.epochs["clicks"][:, 1] - 1
    held = relaxed(run, states_at(run, trials, end), [0.0, 0.0, 0.0], 10)
    more = (trials.true_inputs[..., 1] - trials.true_inputs[..., 0]).sum(1).double()
    share, rank = along_a_line(held, more)
    few = held[more.abs() <= 8]
    sizes = moduli(run, few, [0.0, 0.0, 0.0])
    print("clicks: PC1", share, "rank correlation", rank, "moduli", sizes.median(0).values)
    assert rank > 0.9 and share > 0.6
    assert sizes[:, 0].median() > 0.98 and sizes[:, 0].max() < 1.05


def test_relevant_evidence_is_summed_along_a_line_in_each_context():
    run = trained(tasks.ContextualIntegration)
    assert run.metrics["test_accuracy"] > run.task.ideal_accuracy() - 0.03
    trials = run.trials("test")
    start, stop = trials.epochs["evidence"][0].tolist()
    summed = trials.inputs[:, start:stop, :2].sum(1).double()
    states = states_at(run, trials, torch.full((len(trials),), stop - 1))
    for context in (0, 1):
        inputs = [0.0, 0.0, 1.0 - context, float(context)]
        mine = trials.conditions // 4 == context
        held = relaxed(run, states[mine], inputs, 0)
        share, rank = along_a_line(held, summed[mine, context])
        other = along_a_line(held, summed[mine, 1 - context])[1]
        near = held[summed[mine, context].abs() < 10][:60]
        sizes = moduli(run, near, inputs)
        print("context", context, "PC1", share, "ranks", rank, other, "moduli", sizes.median(0).values)
        assert rank > 0.9 and other < 0.3
        assert sizes[:, 0].median() > 0.97


def test_the_first_frequency_is_held_along_a_line():
    run = trained(tasks.DelayedDiscrimination)
    assert run.metrics["test_accuracy"] > 0.95
    trials = run.trials("test")[:200]
    first = trials.epochs["stimulus 1"]
    f = trials.true_inputs[torch.arange(len(trials)), first[:, 0], 0].double()
    held = relaxed(run, states_at(run, trials, first[:, 1] - 1), [0.0], 20)
    share, rank = along_a_line(held, f)
    sizes = moduli(run, held[:60], [0.0])
    print("frequency: PC1", share, "rank", rank, "moduli", sizes.median(0).values)
    assert rank > 0.95 and share > 0.6
    assert sizes[:, 0].median() > 0.98


def test_headings_lie_on_a_ring():
    run = trained(lambda: tasks.PathIntegration(position=False))
    assert run.metrics["test_accuracy"] > 0.95
    trials = run.trials("test")[:200]
    end = torch.full((len(trials),), trials.n_timesteps - 1)
    held = relaxed(run, states_at(run, trials, end), [0.0, 0.0, 0.0], 100)
    later = relaxed(run, held, [0.0, 0.0, 0.0], 20)
    readout = run.system(trials[:1]).readout
    before, after = (torch.atan2(*readout(x)[:, [1, 0]].unbind(1)) for x in (held, later))
    drift = torch.remainder(after - before + torch.pi, 2 * torch.pi) - torch.pi
    # every direction is held: no gap between neighbouring headings is larger than pi / 6
    gaps = torch.cat([before.sort().values, before.min()[None] + 2 * torch.pi]).diff()
    sizes = moduli(run, held[:60], [0.0, 0.0, 0.0])
    centred = held - held.mean(0)
    variances = torch.linalg.svdvals(centred).square()
    radius = (centred @ torch.linalg.svd(centred, full_matrices=False)[2][:2].T).norm(dim=1)
    print("ring: drift", drift.abs().median(), "gaps", gaps.max(), "moduli", sizes.median(0).values)
    print("PC1+2", variances[:2].sum() / variances.sum(), "radius", radius.min() / radius.max())
    assert drift.abs().median() < 0.1 and gaps.max() < math.pi / 6
    assert variances[:2].sum() > 0.85 * variances.sum() and radius.min() > 0.3 * radius.max()
    assert 0.98 < sizes[:, 0].median() < 1.02
    # an approximate ring is a chain of saddles and nodes around a point that repels both ways
    points = fixed_points(run, inputs=0, n_inits=128, seed=0, n_orbits=0, progress=False)
    print(points)
    assert points.index_sum == 1 and points.counts[0] >= 2 and points.counts[1] >= 2 and points.counts[2] >= 1


def test_heading_and_position_span_three_slow_directions():
    run = trained(tasks.PathIntegration)
    assert run.metrics["test_accuracy"] > 0.9
    trials = run.trials("test")[:60]
    end = torch.full((len(trials),), trials.n_timesteps - 1)
    held = relaxed(run, states_at(run, trials, end), [0.0] * 4, 10)
    sizes = moduli(run, held, [0.0] * 4, 6).median(0).values
    print("plane and ring: moduli", sizes)
    assert sizes[2] > 0.95 and sizes[2] - sizes[3] > sizes[0] - sizes[2]


def test_each_level_has_a_limit_cycle_of_its_period():
    # cycles that attract need waves that last
    run = trained(lambda: tasks.SineWaveGenerator(duration=3.0))
    assert run.metrics["test_accuracy"] > 0.9
    task = run.task
    trials = run.trials("test")
    for j in (5, 15, 25, 35, 45):
        k = int((trials.conditions - j).abs().argmin())
        j = int(trials.conditions[k])
        start = states_at(run, trials[[k]], torch.tensor([trials.n_timesteps - 1]))
        cycles, owner = find_cycles(run, start, [float(task.level(j))], n_transient=1500, max_period=1000)
        want = 1 / (float(task.hertz(j)) * task.dt)
        print("sine", j, [(c.period, float(c.multipliers[1].abs())) for c in cycles], "wanted", want)
        assert owner[0] == 0 and cycles[0].period == pytest.approx(want, rel=0.05)
        swing = run.system(trials[:1]).readout(cycles[0].x)
        assert swing.max() > 0.8 and swing.min() < -0.8


def test_each_direction_has_a_limit_cycle_and_waits_at_a_fixed_point():
    # cycles that attract need movements that last
    run = trained(lambda: tasks.CyclingMemory(duration=4.0))
    assert run.metrics["test_accuracy"] > 0.95
    trials = run.trials("test")[:12]
    moving = trials.epochs["movement"][:, 0] + 60
    starts = states_at(run, trials, moving)
    cycles, owner = find_cycles(run, starts, [0.0, 0.0, 1.0], n_transient=1000, max_period=1000)
    want = 1 / (run.task.frequency * run.task.dt)
    readout = run.system(trials[:1]).readout
    turns = []
    for cycle in cycles:
        y = readout(cycle.x)
        angle = np.unwrap(torch.atan2(y[:, 1], y[:, 0]).numpy())
        turns.append(float(np.sign(angle[-1] - angle[0])))
        print(
            "cycling",
            cycle.period,
            "multipliers",
            cycle.multipliers[:3].abs(),
            "radius",
            y.norm(dim=1).min(),
            turns[-1],
        )
    assert len(cycles) == 2 and sorted(turns) == [-1, 1]
    assert all(c.period == pytest.approx(want, rel=0.05) for c in cycles)
    # each trial is on the cycle of its direction
    assert all(turns[int(o)] == (1 if forward else -1) for o, forward in zip(owner, trials.conditions))


def test_items_are_two_cycles_locked_to_the_reference_half_a_turn_apart():
    run = trained(tasks.PhaseCodedMemory)
    assert run.metrics["test_accuracy"] > 0.95
    task, trials = run.task, run.trials("test")[:12]
    step, readout = run.system(trials[:1]).step, run.system(trials[:1]).readout
    period, d = 45, run.network.state_size
    turn = torch.tensor(2 * math.pi / period, dtype=torch.float64)

    def driven(x):
        """Network and reference as one map: the reference is a point that goes round a circle."""
        state, (c, s) = x[..., :d], x[..., d:].unbind(-1)
        u = torch.stack([s, torch.zeros_like(s), torch.zeros_like(s)], -1)
        on = torch.stack([c * turn.cos() - s * turn.sin(), s * turn.cos() + c * turn.sin()], -1)
        return torch.cat([step(state, u), on], -1)

    assert task.period[0] < period * task.dt < task.period[1]
    starts = states_at(run, trials, torch.full((12,), trials.n_timesteps - 1))
    clock = torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(12, -1)
    x = torch.cat([starts, clock], 1)
    for _ in range(40 * period):
        x = driven(x)
    lags = []
    for _ in range(period):
        lags.append(readout(x[:, :d])[:, 0] * torch.exp(-1j * torch.atan2(x[:, -1], x[:, -2])))
        x = driven(x)
    # Fourier coefficient of the output at the reference's frequency: its phase is the lag
    phase = torch.stack(lags).mean(0).angle()
    back = x.clone()
    for _ in range(period):
        back = driven(back)
    print("phases", phase, "items", trials.conditions, "return", (back - x).norm(dim=1))
    assert (back - x).norm(dim=1).max() < 1e-3  # every trial has settled on an orbit of that period
    groups = [torch.exp(1j * phase[trials.conditions == k]).mean() for k in (0, 1)]
    assert all(abs(g) > 0.95 for g in groups)
    apart = abs((groups[0] / groups[1]).angle())
    assert apart > 0.8 * math.pi


def test_the_sample_is_held_at_a_point_of_its_own_and_so_is_the_answer():
    run = trained(tasks.ChaoticDelayedMatching)
    assert run.metrics["test_accuracy"] > 0.98
    trials = run.trials("test")[:80]
    for epoch, classes in (("cue 1", trials.conditions // 2), ("cue 2", (trials.conditions % 3 == 0).long())):
        end = trials.epochs[epoch][:, 1] - 1
        held = relaxed(run, states_at(run, trials, end), [0.0, 0.0], 20)
        means = [held[classes == k].mean(0) for k in (0, 1)]
        apart = (means[0] - means[1]).norm()
        spread = max(float((held[classes == k] - means[k]).norm(dim=1).mean()) for k in (0, 1))
        print("matching", epoch, "apart", apart, "spread", spread)
        assert apart > 2 * spread


def largest_exponent(network):
    """Undriven, from random states; as in the table of docs/tasks.md."""
    network.init_model(2, 1, seed=0)
    x0 = torch.randn(64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    spectrum = lyapunov_spectrum(
        network.cell, x0, torch.zeros(2), n_exponents=2, n_steps=1500, n_transient=500, n_orbits=4, progress=False
    )
    return float(spectrum.exponents[0]), float(spectrum.standard_error[0])


@pytest.mark.parametrize(
    ("network", "low", "high"),
    [
        (lambda: ChaoticRateRNN(64, gain=0.8), -0.07, -0.06),
        (lambda: ChaoticRateRNN(64, gain=1.5), -0.001, 0.001),
        (lambda: ChaoticVanillaRNN(64, gain=1.5), 0.012, 0.022),
        (lambda: EIRNN(64, gain=1.5), -0.23, -0.21),
    ],
)
def test_untrained_networks_are_chaotic_or_not_as_the_page_says(network, low, high):
    exponent, error = largest_exponent(network())
    assert error < 0.002 and low < exponent < high
