"""Brain and body as one map: against the rollout, finite differences, and rest states found otherwise."""

from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
import torch

import conjugacy as cj
from conjugacy.arm import RigidTendonArm26
from conjugacy.arm.plant import Noise
from conjugacy.closed_loop.coupled_map import CoupledMap
from conjugacy.closed_loop.plain import plain_closed_loop
from conjugacy.dynamics import participation
from conjugacy.dynamics.jacobian import autodiff_jacobian
from conjugacy.runs.trial_sets import TrialSets

PRETRAINED = Path(__file__).parents[3] / "shared" / "reference" / "pretrained" / "randomtarget.npz"


def task(**options):
    return cj.tasks.RandomTarget(max_ep_duration=0.8, **options)


def network(n=5, kind=cj.networks.GRU):
    made = kind(n)
    made.init_model(17, 6)
    return made.eval()


def constant_commands(commands):
    """A network that says the same whatever it sees."""
    made = network(3)
    with torch.no_grad():
        made.readout.weight.zero_()
        made.readout.bias.copy_(torch.logit(torch.tensor(commands)) + 2)
    return made


VARIANTS = {
    "motornet": {},
    "delays": {"vision_delay": 0.02, "proprioception_delay": 0.03},
    "rotation": {"rotation": 25.0, "vision_delay": 0.01},
    "field": {"force_field": "curl", "field_strength": 8.0},
    "clip": {"variant": "neuromatch"},
    "exact": {"effector": RigidTendonArm26(physics="exact")},
    "ministeps": {"effector": RigidTendonArm26(n_ministeps=2)},
}


@pytest.fixture(scope="module", params=VARIANTS)
def loop_and_trials(request):
    world = task(**VARIANTS[request.param])
    return CoupledMap(network(), world.plant), world.trials(7, seed=0)


def test_the_map_is_the_rollout_step_for_step(loop_and_trials):
    loop, trials = loop_and_trials
    z, u = loop.rollout(trials)
    exact = [x.double() for x in (trials.inputs, trials.ics, trials.loads)]
    with torch.no_grad():
        out = plain_closed_loop(loop.network, loop.plant, *exact, loop.network.init_hidden(7), Noise())
    for got, want in zip(z.split([s.stop - s.start for s in loop.parts.values()], -1), (out.latents, *out.plant)):
        scale = want.abs().max() if want.shape[-1] == 6 and want.abs().max() > 2 else 1.0
        unit = torch.tensor(loop.plant.arm.max_isometric_force).double() if scale > 2 else 1.0
        torch.testing.assert_close(got, want / unit, atol=1e-12, rtol=1e-10)
    torch.testing.assert_close(loop.hand(z), out.outputs, atol=1e-12, rtol=0)
    torch.testing.assert_close(loop.step(z[:, :-1], u[:, 1:]), z[:, 1:])
    assert loop.held([0.1, 0.4, 1.0], origin=[0.0, 0.4] if "origin" in loop.inputs else None)[0].item() == 0.1
    x, state = loop.unpack(z[:, 9], u[:, 9])
    torch.testing.assert_close(loop.pack(x, state), z[:, 9])
    torch.testing.assert_close(loop.plant.observe(state), out.observations[:, 10], atol=1e-12, rtol=1e-9)


def test_the_jacobian_is_that_of_automatic_differentiation_and_of_differences(loop_and_trials):
    loop, trials = loop_and_trials
    z, u = loop.rollout(trials)
    z, u = z[:, 40].clone(), u[:, 41]
    # away from the kinks at the stops and at activation 0
    middle = loop.plant.arm.joint_limits.mean(1)
    z[:, loop.parts["q"]] = middle + 0.8 * (z[:, loop.parts["q"]] - middle)
    z[:, loop.parts["activation"]] = z[:, loop.parts["activation"]].clamp(0.05, 0.95)
    by_state, by_input = loop.jacobian(u, z)
    for got, want in zip((by_state, by_input), autodiff_jacobian(loop.step, z, u)):
        torch.testing.assert_close(got, want, atol=1e-10, rtol=1e-10)
    v = torch.randn(z.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    slope = (loop.step(z + 1e-7 * v, u) - loop.step(z - 1e-7 * v, u)) / 2e-7
    torch.testing.assert_close((by_state @ v[..., None])[..., 0], slope, atol=1e-5, rtol=1e-5)


def test_the_smaller_equation_has_the_zeros_of_the_map_and_its_own_jacobian(loop_and_trials):
    loop, _ = loop_and_trials
    g = torch.Generator().manual_seed(1)
    x = torch.rand(9, 5, generator=g).double() - 0.5
    low, high = loop.plant.arm.joint_limits.T
    q = low + (high - low) * (0.2 + 0.6 * torch.rand(9, 2, generator=g).double())
    u = loop.held([0.1, 0.4, 1.0], [2.0, -3.0], [0.0, 0.4] if "origin" in loop.inputs else None).expand(9, -1)
    equation, y = loop.reduced(), torch.cat([x, q], -1)
    z = equation.lift(y, u)
    torch.testing.assert_close(equation.project(z), y)
    torch.testing.assert_close(z, loop.rest_state(x, q, u))
    # the network's part is what the map does to it; all else rests already but for what pushes the joints
    moved = loop.step(z, u)
    residual = equation.residual(y, u)
    torch.testing.assert_close(residual[:, :5], moved[:, :5] - x)
    v = torch.randn(y.shape, generator=g, dtype=torch.float64)
    slope = (equation.residual(y + 1e-7 * v, u) - equation.residual(y - 1e-7 * v, u)) / 2e-7
    torch.testing.assert_close((equation.jacobian(y, u) @ v[..., None])[..., 0], slope, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("physics", ["motornet", pytest.param("exact", marks=pytest.mark.slow)])
def test_a_held_arm_rests_where_its_torques_balance(physics):
    levels = [0.18, 0.06, 0.04, 0.07, 0.13, 0.12]
    world = task(effector=RigidTendonArm26(physics=physics))
    run = cj.Run(world, constant_commands(levels), 0, TrialSets(n=10, seed=0, n_test=5, test_seed=1))
    system = run.coupled_system()
    load = [1.5, -2.0]
    points = cj.fixed_points(
        system, inputs=system.cell.held([0.0, 0.4, 1.0], load), n_inits=8, n_orbits=0, slow_speed=0, progress=False
    )
    assert points.counts == {0: 1} and points.index_sum == 1 and points.audit().expected_index == 1
    arm = world.effector

    def torque(q):
        q = torch.from_numpy(q)
        lengths = (arm.muscle_lengths(q).numpy() - np.array(arm.tendon_length)) / np.array(arm.optimal_muscle_length)
        m = arm.muscle
        active = m.force_length(torch.from_numpy(lengths)).numpy() * np.array(levels)
        force = np.array(arm.max_isometric_force) * (active + m.passive(torch.from_numpy(lengths)).numpy())
        return -arm.moment_arms(q).numpy() @ force + arm.skeleton.torque_of(q, torch.tensor(load).double()).numpy()

    found = scipy.optimize.root(torque, np.array([0.8, 1.4]), tol=1e-13)
    assert found.success and np.abs(torque(found.x)).max() < 1e-9
    q = points.x[0, system.parts["q"]]
    np.testing.assert_allclose(q, found.x, atol=1e-7)
    np.testing.assert_allclose(points.readout[0], arm.hand(torch.from_numpy(found.x)), atol=1e-7)
    assert np.abs(points.x[0, system.parts["qd"]]).max() < 1e-12
    np.testing.assert_allclose(points.x[0, system.parts["activation"]], levels, rtol=1e-6)
    # and there it stays for a second
    z, u = torch.from_numpy(points.x[0]), torch.from_numpy(points.u[0])
    for _ in range(100):
        z = system.step(z, u)
    np.testing.assert_allclose(z, points.x[0], atol=1e-9)


def test_an_arm_pushed_against_its_stops_rests_there():
    run = cj.Run(task(), constant_commands([1e-4] * 6), 0, TrialSets(n=10, seed=0, n_test=5, test_seed=1))
    rest = cj.rest_points(run, [[0.0, 0.4]], load=(0.0, -60.0), n_inits=8, progress=False)
    assert rest.at_limit[0].tolist() == [True] and rest.table()["at_limit"].tolist() == [True]
    points = rest.points[0]
    loop = run.coupled_system().cell
    x = torch.from_numpy(points.x)
    torch.testing.assert_close(loop.step(x, torch.from_numpy(points.u)), x, atol=1e-9, rtol=0)
    q, (low, high) = x[0, loop.parts["q"]], loop.plant.arm.joint_limits.T
    assert bool(((q == low) | (q == high)).any())


def test_at_rest_the_map_has_a_derivative_for_each_side_of_every_muscle():
    world = task(effector=RigidTendonArm26())
    loop = CoupledMap(network(), world.plant)
    with torch.no_grad():
        loop.network.readout.weight.mul_(4)
    system_like = cj.System.from_arrays("loop", *loop.rollout(world.trials(5, seed=0)), step=loop.step)
    points = cj.fixed_points(
        cj.System(**{**vars(system_like), "cell": loop}),
        inputs=loop.held([0.1, 0.4, 0.0]), n_inits=8, n_orbits=0, slow_speed=0, progress=False,
    )  # fmt: skip
    z, u = torch.from_numpy(points.x[:1]), torch.from_numpy(points.u[:1])
    spectra = loop.rest_spectra(z, u[0])
    assert spectra.shape == (1, 64, loop.hidden_size)
    np.testing.assert_allclose(spectra[0, 0].abs(), np.abs(points.eigenvalues[0]), atol=1e-9)
    where, g = loop.parts["activation"], torch.Generator().manual_seed(0)
    sides = set()
    for _ in range(8):
        v = torch.randn(loop.hidden_size, generator=g, dtype=torch.float64)
        step = (loop.step(z + 1e-8 * v, u) - loop.step(z, u))[0] / 1e-8
        moved = loop.step(z + 1e-8 * v, u)
        up = (loop.commands(moved) - (z + 1e-8 * v)[:, where])[0] > 0
        branch = loop._jacobian(u, z, up[None])[0][0]
        torch.testing.assert_close(branch @ v, step, atol=1e-5, rtol=1e-5)
        k = int("".join(str(int(side)) for side in up), 2)
        torch.testing.assert_close(spectra[0, k, 0].abs(), torch.linalg.eigvals(branch).abs().max())
        sides |= {k}
    assert len(sides) > 2


def test_networks_without_closed_forms_and_of_two_states_are_looped_too():
    world = task()
    for kind in (cj.networks.LSTM, cj.networks.VanillaRNN):
        loop = CoupledMap(network(4, kind), world.plant)
        z, u = loop.rollout(world.trials(3, seed=1))
        for got, want in zip(loop.jacobian(u[:, 30], z[:, 29]), autodiff_jacobian(loop.step, z[:, 29], u[:, 30])):
            torch.testing.assert_close(got, want, atol=1e-10, rtol=1e-10)
        # the LSTM's box depends on what it sees
        assert (loop.box is None) == (kind is cj.networks.LSTM)


def test_shares_of_modes_sum_to_one_and_know_no_units():
    g = torch.Generator().manual_seed(3)
    a, b = (0.3 * torch.randn(n, n, generator=g, dtype=torch.float64) for n in (3, 4))
    blocks = torch.block_diag(a, b)
    parts = {"first": slice(0, 3)}
    units = torch.logspace(-3, 3, 7, dtype=torch.float64)
    tables = []
    for unit in (torch.ones(7).double(), units):
        matrix = blocks * unit[:, None] / unit
        points = cj.fixed_points(lambda x, u, m=matrix: x @ m.T, x0=torch.zeros(1, 7), n_inits=4, progress=False)
        tables.append(participation(points, parts, 7))
    np.testing.assert_allclose(tables[0], tables[1], atol=1e-8)
    shares = tables[0][["first", "rest"]].to_numpy()
    np.testing.assert_allclose(shares.sum(1), 1)
    # each mode lives in one block
    assert np.allclose(shares.max(1), 1) and set(shares[:, 0].round()) == {0.0, 1.0}
    np.testing.assert_allclose(
        np.sort(tables[0]["modulus"])[::-1][0], torch.linalg.eigvals(blocks).abs().max(), rtol=1e-10
    )


def test_bad_arguments_are_explained(small_runs):
    with pytest.raises(ValueError, match=r"`run`: .* has no arm, so there is no loop to close. Use system\(\)."):
        small_runs[0].coupled_system()
    loop = CoupledMap(network(), task().plant)
    with pytest.raises(ValueError, match="`context`: expected shape"):
        loop.held([0.0, 0.4])
    with pytest.raises(ValueError, match="`origin`: expected None without a rotation"):
        loop.held([0.0, 0.4, 1.0], origin=[0.0, 0.0])

    class Other:
        arm = object()

    with pytest.raises(TypeError, match=r"`plant`: expected one with a RigidTendonArm26 of conjugacy.arm, got object"):
        CoupledMap(network(), Other())


@pytest.fixture(scope="module")
def published():
    """The reaching network of CtDB's authors."""
    if not PRETRAINED.exists():
        pytest.skip("the published weights are not here")
    gru = cj.networks.GRU(64)
    gru.init_model(17, 6)
    with np.load(PRETRAINED) as weights:
        gru.load_state_dict({k: torch.from_numpy(weights[k]).reshape(v.shape) for k, v in gru.state_dict().items()})
    world = cj.tasks.RandomTarget(variant="neuromatch", max_ep_duration=3.0)
    return cj.Run(world, gru.eval(), 0, TrialSets(n=20, seed=1, n_test=20, test_seed=2))


@pytest.mark.slow
def test_the_published_network_rests_at_its_target(published):
    rest = cj.rest_points(published, [[0.0, 0.4]], n_inits=16, progress=False)
    table, points = rest.table(), rest.points[0]
    # one fixed point, stable, near the target
    assert table["n_unstable"].tolist() == [0] and float(table["distance"][0]) < 0.01 and not table["at_limit"][0]
    assert table["certificate"].tolist() == ["contraction"] and points.audit().complete
    # its slowest exponents are those of its Jacobian, up to the bias of a finite time
    exponents = cj.lyapunov_spectrum(
        published.coupled_system(), points.x, inputs=points.u[0],
        n_exponents=2, n_steps=500, n_transient=100, n_orbits=1, progress=False,
    ).exponents  # fmt: skip
    np.testing.assert_allclose(exponents, np.log(np.abs(points.eigenvalues[0, :2])), atol=0.006)
    # the real rollout, in float32 and from another posture, comes to it and holds it for its last second
    world = published.task
    trials = world.trials(4, seed=3)
    held = torch.tensor([0.0, 0.4, 1.0]).expand(4, 300, 3)
    still = cj.Trials.from_tensors(
        held, trials.targets, ics=trials.ics, loads=torch.zeros_like(trials.loads), epochs=trials.epochs
    )
    with torch.no_grad():
        hand = cj.rollout(published.network, world, still).outputs
    end = torch.from_numpy(points.readout[0]).float()
    assert float((hand[:, -100:] - end).norm(dim=-1).max()) < 2e-3
