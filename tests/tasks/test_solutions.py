"""What docs/tasks.md says of the solution of each task, looked at in a network that has learned it.

Each test trains a GRU by the recipe of the task (some in batches of 32), then looks with `conjugacy.dynamics`. Where
there are several seeds, recipe and bounds were set with the first ones in view and the last one not.
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
def trained(make, seed=0, **settings):
    run = cj.train(make(), GRU(32), seed=seed, progress=False, **settings)
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


def groups(states, numbers, n):
    """Distances between the means of the states of each number, (n, n), and the mean distance to the own mean, (n,)."""
    means = torch.stack([states[numbers == k].mean(0) for k in range(n)])
    spread = torch.stack([(states[numbers == k] - means[k]).norm(dim=1).mean() for k in range(n)])
    return torch.cdist(means, means), spread


def along_a_line(states, value):
    """Share of the variance along the first principal component, and its rank correlation with a value."""
    centred = states - states.mean(0)
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    ranks = [torch.argsort(torch.argsort(v)).double() for v in (u[:, 0], value)]
    return float(s[0] ** 2 / s.square().sum()), abs(float(torch.corrcoef(torch.stack(ranks))[0, 1]))


def test_bits_are_corners_of_a_cube_of_fixed_points():
    task = lambda: tasks.NBitFlipFlop(n=2, n_timesteps=150)  # noqa: E731
    run = trained(task, batch_size=32)
    assert run.metrics["test_accuracy"] > 0.98
    points = fixed_points(run, inputs=0, n_inits=256, seed=0, progress=False)
    stable = points[(points.n_unstable == 0) & points.fixed]
    held = (torch.from_numpy(stable.readout) > 0.5).int()
    print(points)
    assert len(held.unique(dim=0)) == 4


def test_clicks_are_counted_along_a_line():
    run = trained(tasks.PoissonClicks, batch_size=32)
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
    run = trained(tasks.ContextualIntegration, batch_size=32)
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
    run = trained(tasks.DelayedDiscrimination, batch_size=32)
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
    run = trained(lambda: tasks.PathIntegration(position=False), batch_size=32)
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


def explained(states, columns):
    """R2 of the second half of some states, by polynomials fitted to the first half, (state, column)."""
    half = len(states) // 2
    fit = torch.linalg.lstsq(columns[:half], states[:half]).solution
    missed = (states[half:] - columns[half:] @ fit).square().sum()
    return 1 - float(missed / (states[half:] - states[half:].mean(0)).square().sum())


@pytest.mark.parametrize("seed", [0, 2])
def test_heading_and_position_are_where_the_state_is_on_a_slow_surface(seed):
    run = trained(tasks.PathIntegration, seed)
    assert run.metrics["test_accuracy"] > 0.9
    trials = run.trials("test")
    stopped = states_at(run, trials, torch.full((len(trials),), trials.n_timesteps - 1))
    readout = run.system(trials[:1]).readout

    def read(states):
        c, s, x, y = readout(states).unbind(1)
        return torch.atan2(s, c), x, y

    angle, x, y = read(stopped)
    for steps in (10, 50):
        later_angle, later_x, later_y = read(relaxed(run, stopped, [0.0] * 4, steps))
        turned = (torch.remainder(later_angle - angle + torch.pi, 2 * torch.pi) - torch.pi).abs().median()
        moved = torch.hypot(later_x - x, later_y - y).median()
        print("standing", steps, "heading drifts", turned, "position drifts", moved)
        if steps == 10:
            assert turned < 0.05 and moved < 0.06
    held = relaxed(run, stopped, [0.0] * 4, 50)
    angle, x, y = read(held)
    one, c, s = torch.ones_like(x), angle.cos(), angle.sin()
    ring = [one, c, s, (2 * angle).cos(), (2 * angle).sin()]
    plane = [one, x, y, x * x, x * y, y * y, x**3, x * x * y, x * y * y, y**3]
    both = [*ring, *plane[1:], *(a * b for a in (c, s) for b in (x, y))]
    shares = [explained(held, torch.stack(columns, 1)) for columns in (ring, plane, both)]
    sizes = moduli(run, held[:60], [0.0] * 4, 6).median(0).values
    print("states from heading, position, both", shares, "moduli", sizes)
    assert shares[2] > 0.95 and 1 - shares[2] < 0.25 * (1 - max(shares[:2]))
    assert sizes[2] > 0.98


@pytest.mark.parametrize("seed", [0, 1])
def test_each_level_has_a_limit_cycle_of_its_period(seed):
    run = trained(tasks.SineWaveGenerator, seed)
    assert run.metrics["test_accuracy"] > 0.99
    task = run.task
    trials = run.trials("test")
    readout = run.system(trials[:1]).readout
    for j in range(0, task.n_frequencies, 5):
        k = int((trials.conditions - j).abs().argmin())
        j = int(trials.conditions[k])
        start = states_at(run, trials[[k]], torch.tensor([trials.n_timesteps - 1]))
        (cycle,), owner = find_cycles(run, start, [float(task.level(j))], n_transient=1500)
        want = 1 / (float(task.hertz(j)) * task.dt)
        wave = readout(cycle.x).detach()
        size = float((2 * (wave - wave.mean()).square().mean()).sqrt())  # 1 for a sine wave of amplitude 1
        print(f"level {j}: period {cycle.period:.3f}, wanted {want:.3f}, size {size:.3f}", cycle.multipliers[1].abs())
        assert owner[0] == 0 and cycle.is_stable and float(cycle.multipliers[1].abs()) < 0.95
        assert cycle.period == pytest.approx(want, rel=0.025)
        assert 0.8 < size < 1.05


@pytest.mark.parametrize("seed", [0, 2])
def test_each_direction_has_a_limit_cycle_and_waits_at_a_place_of_its_own(seed):
    run = trained(tasks.CyclingMemory, seed)
    assert run.metrics["test_accuracy"] > 0.99
    trials = run.trials("test")[:12]
    readout = run.system(trials[:1]).readout
    # as long as the longest delay, and twice as long
    cued = states_at(run, trials, trials.epochs["cue"][:, 1] - 1)
    for steps in (40, 80):
        apart, spread = groups(relaxed(run, cued, [0.0, 0.0, 0.0], steps), trials.conditions, 2)
        print("waiting", steps, "apart", apart[0, 1], "spread", spread.max())
        assert apart[0, 1] > 20 * spread.max()
    starts = states_at(run, trials, trials.epochs["movement"][:, 0] + 60)
    cycles, owner = find_cycles(run, starts, [0.0, 0.0, 1.0])
    want = 1 / (run.task.frequency * run.task.dt)
    turns = []
    for cycle in cycles:
        y = readout(cycle.x).detach()
        angle = np.unwrap(torch.atan2(y[:, 1], y[:, 0]).numpy())
        turns.append(float(np.sign(angle[-1] - angle[0])))
        radius = y.norm(dim=1)
        print("cycling", turns[-1], cycle.period, cycle.multipliers[:3].abs(), "radius", radius.min(), radius.max())
        assert cycle.period == pytest.approx(want, rel=0.02)
        assert radius.min() > 0.85 and radius.max() < 1.15
        assert cycle.is_stable and float(cycle.multipliers[1].abs()) < 0.95
    assert sorted(turns) == [-1, 1]
    # each trial is on the cycle of its direction
    assert all(turns[int(o)] == (1 if forward else -1) for o, forward in zip(owner, trials.conditions))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_items_are_two_cycles_locked_to_the_reference_half_a_turn_apart(seed):
    run = trained(tasks.PhaseCodedMemory, seed)
    assert run.metrics["test_accuracy"] > 0.99
    task, trials = run.task, run.trials("test")[:12]
    step, readout = run.system(trials[:1]).step, run.system(trials[:1]).readout
    starts = states_at(run, trials, torch.full((12,), trials.n_timesteps - 1))
    items = trials.conditions
    for period in (33, 45, 60):
        assert task.period[0] < period * task.dt < task.period[1]
        turn = torch.exp(2j * torch.pi * torch.arange(period, dtype=torch.float64) / period)
        x = starts
        for k in range(300 * period):
            x = step(x, torch.tensor([[float(turn[k % period].imag), 0.0, 0.0]]).double().expand(12, -1))
        begun, outputs = x, []
        for now in turn:
            x = step(x, torch.tensor([[float(now.imag), 0.0, 0.0]]).double().expand(12, -1))
            outputs.append(readout(x)[:, 0])
        # Fourier coefficient at the reference's frequency, relative to the reference
        wave = 2j * (torch.stack(outputs, 1) * turn.conj()).mean(1)
        print("period", period, "phases / pi", wave.angle() / math.pi, "return", (x - begun).norm(dim=1))
        assert (x - begun).norm(dim=1).max() < 1e-5  # a cycle of the reference's period
        assert wave.abs().min() > 0.85 and wave.abs().max() < 1.1
        for item, lag in ((0, 0.2), (1, 1.2)):
            mine = items == item
            assert (begun[mine] - begun[mine][0]).norm(dim=1).max() < 1e-5  # one cycle, whatever the trial
            off = (wave[mine] * torch.exp(torch.tensor(1j * math.pi * lag))).angle().abs()
            assert off.max() < 0.1 * math.pi


@pytest.mark.parametrize("seed", [0, 1, 2, 4])
def test_samples_part_matches_stay_with_their_sample_and_differences_meet(seed):
    run = trained(tasks.ChaoticDelayedMatching, seed)
    assert run.metrics["test_accuracy"] > 0.99
    trials = run.trials("test")[:200]
    sample, pair = trials.conditions // 2, trials.conditions
    undriven = [0.0, 0.0]
    seen = states_at(run, trials, trials.epochs["cue 1"][:, 1] - 1)
    apart, spread = groups(relaxed(run, seen, undriven, 20), sample, 2)  # to the end of the delay
    print("samples apart", apart[0, 1], "spread", spread.max())
    assert apart[0, 1] > 20 * spread.max()
    answered = relaxed(run, states_at(run, trials, trials.epochs["cue 2"][:, 1] - 1), undriven, 40)
    apart, spread = groups(answered, pair, 4)
    print("pairs apart", apart, "spread", spread)
    aa, ab, ba, bb = range(4)
    others = torch.stack([apart[i, j] for i, j in ((aa, ab), (aa, ba), (bb, ab), (bb, ba), (aa, bb))])
    assert others.min() > 20 * spread.max() and apart[ab, ba] < 0.3 * others.min()
    assert apart[aa, bb] == others.max()
    # 0.8 s after the sample, with no second cue: a match is where its sample is
    held = relaxed(run, seen, undriven, 80)
    for k, match in enumerate((aa, bb)):
        to = [float((answered[pair == match].mean(0) - held[sample == j].mean(0)).norm()) for j in (0, 1)]
        print("match", k, "to the samples", to)
        assert to[k] < 0.5 * to[1 - k]
    # the place of a difference is slow, and no fixed point: in 50 s its states come to where matches come to
    ends, _ = groups(relaxed(run, answered, undriven, 5000), pair, 4)
    print("after 50 s", ends)
    assert all(min(ends[k, aa], ends[k, bb]) < 0.05 for k in (ab, ba))


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
