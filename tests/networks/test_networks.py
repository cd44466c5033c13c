import re

import pytest
import torch
from torch import nn

from conjugacy import networks
from conjugacy.networks import (
    EIRNN,
    GRU,
    LSTM,
    NODE,
    ChaoticRateRNN,
    ChaoticVanillaRNN,
    LeakyRNN,
    LowRankRNN,
    NoisyGRU,
    NoisyGRULatentL2,
    VanillaRNN,
    from_cell,
    plain_sequence,
    sequence,
)

KINDS = {
    "GRU": lambda: GRU(5),
    "NoisyGRU": lambda: NoisyGRU(5),
    "VanillaRNN": lambda: VanillaRNN(5),
    "LSTM": lambda: LSTM(5),
    "LeakyRNN": lambda: LeakyRNN(5, alpha=0.3),
    "LowRankRNN": lambda: LowRankRNN(5, rank=2, alpha=0.4),
    "NODE": lambda: NODE(5, num_layers=2, layer_hidden_size=11),
    "ChaoticRateRNN": lambda: ChaoticRateRNN(5, gain=1.3, alpha=0.3),
    "ChaoticRateRNN, units read": lambda: ChaoticRateRNN(5, alpha=1.0, read_units=True),
    "ChaoticVanillaRNN": lambda: ChaoticVanillaRNN(5),
    "EIRNN": lambda: EIRNN(5, alpha=0.4),
    "NoisyGRULatentL2": lambda: NoisyGRULatentL2(5),
    "own cell": lambda: from_cell(nn.GRUCell(2, 5), 5),
}
# kinds that have no settings of interest here
PUBLIC = {n: k for n, k in vars(networks).items() if isinstance(k, type) and issubclass(k, networks.Network)}
KINDS = {n: k.small for n, k in PUBLIC.items() if n not in ("Network", "CellNetwork")} | KINDS


@pytest.fixture(params=KINDS)
def network(request):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made = KINDS[request.param]()
        made.init_model(2, 3, seed=1)
    return made.double()


def draws(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_whole_sequences_equal_single_steps(network):
    inputs = draws(4, 7, 2)
    states, outputs = network.rollout(inputs)
    assert states.shape == (4, 7, network.state_size) and outputs.shape == (4, 7, 3)
    x = network.init_hidden(4)
    for t in range(7):
        x = network.step(x, inputs[:, t])
        torch.testing.assert_close(states[:, t], x, rtol=1e-12, atol=1e-12)
        y, h = network(inputs[:, t], states[:, t - 1] if t else network.init_hidden(4))
        torch.testing.assert_close(outputs[:, t], y, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(h, x, rtol=1e-12, atol=1e-12)


def test_gradients_of_whole_sequences_equal_those_of_the_plain_loop(network):
    inputs = draws(3, 6, 2)
    weight = draws(3, 6, network.state_size, seed=1)
    grads = []
    for states in (sequence, plain_sequence):
        network.zero_grad()
        (states(network.cell, inputs, network.init_hidden(3)) * weight).sum().backward()
        grads.append([p.grad.clone() for p in (*network.cell.parameters(), network.latent_ics)])
    for fused, plain in zip(*grads):
        torch.testing.assert_close(fused, plain, rtol=1e-10, atol=1e-10)


def test_the_plain_rollout_is_calls_of_the_cell_one_after_the_other(network):
    calls = []
    hook = network.cell.register_forward_hook(lambda *_: calls.append(1))
    inputs = draws(3, 6, 2)
    plain = network.rollout(inputs, rollout="plain")
    hook.remove()
    assert len(calls) == 6
    for a, b in zip(plain, network.rollout(inputs)):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match=r"^`rollout`: expected one of 'auto', 'plain', got 'fast'\."):
        network.rollout(inputs, rollout="fast")


def test_steps_take_any_leading_axes(network):
    x, u = draws(4, 6, network.state_size), draws(4, 6, 2, seed=1)
    batch = network.step(x, u)
    assert batch.shape == x.shape
    torch.testing.assert_close(batch[2, 3], network.step(x[2, 3], u[2, 3]), rtol=1e-12, atol=1e-12)
    assert network.step(x[:0], u[:0]).shape == (0, 6, network.state_size)
    torch.testing.assert_close(network.step(x, u[0, 0])[1, 1], network.step(x[1, 1], u[0, 0]), rtol=1e-12, atol=1e-12)


def test_closed_form_jacobians_equal_automatic_ones(network):
    if not hasattr(network.cell, "jacobian"):
        pytest.skip("this cell offers none")
    u, x = draws(2, seed=2), draws(network.state_size, seed=3)
    by_input, by_state = torch.autograd.functional.jacobian(network.cell, (u, x))
    closed_state, closed_input = network.cell.jacobian(u, x)
    torch.testing.assert_close(closed_state, by_state, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(closed_input, by_input, rtol=1e-12, atol=1e-12)
    batch_x, batch_u = x.expand(3, -1), u.expand(3, -1)
    torch.testing.assert_close(network.cell.jacobian(batch_u, batch_x)[0][1], by_state, rtol=1e-12, atol=1e-12)


def test_boxes_are_kept_and_lipschitz_constants_hold(network):
    cell = network.cell
    if not hasattr(cell, "jacobian_lipschitz") or not hasattr(cell, "box"):
        pytest.skip("this cell offers none")
    u = draws(2, seed=4)
    low, high = cell.box(u) if callable(cell.box) else cell.box
    x = low + (high - low) * draws(500, network.state_size, seed=5).sigmoid()
    moved = cell(u.expand(500, -1), x)
    assert (moved >= low).all() and (moved <= high).all()
    y = x + 0.1 * draws(500, network.state_size, seed=6)
    change = cell.jacobian(u.expand(500, -1), x)[0] - cell.jacobian(u.expand(500, -1), y)[0]
    ratio = torch.linalg.matrix_norm(change, 2) / (x - y).norm(dim=1)
    bound = cell.jacobian_lipschitz(u, x, torch.ones(500, dtype=torch.float64))
    assert bound.shape == (500,) and (ratio <= bound).all() and ratio.max() > 0.05 * bound[0]


def test_the_initial_state_is_trained(network):
    network.rollout(draws(2, 3, 2))[1].square().sum().backward()
    assert network.latent_ics.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "own cell"])
def test_weights_come_from_the_seed_alone(kind):
    a, b, c = KINDS[kind](), KINDS[kind](), KINDS[kind]()
    a.init_model(2, 3, seed=4)
    b.init_model(2, 3, seed=4)
    c.init_model(2, 3, seed=5)
    pairs = list(zip(a.state_dict().values(), b.state_dict().values(), c.state_dict().values()))
    assert all(torch.equal(x, y) for x, y, _ in pairs)
    assert any(not torch.equal(x, z) for x, _, z in pairs)


def test_noise_is_off_unless_a_generator_is_given():
    net = NoisyGRU(5, noise_level=0.1, ic_noise=0.2)
    net.init_model(2, 3)
    inputs = torch.zeros(4000, 1, 2)
    with torch.no_grad():
        quiet, again = net.train().rollout(inputs)[0], net.rollout(inputs)[0]
        noisy = net.rollout(inputs, noise=torch.Generator().manual_seed(0))[0]
        from_rest = net.rollout(inputs, x0=torch.zeros(4000, 5), noise=torch.Generator().manual_seed(0))[0]
    assert torch.equal(quiet, again)
    spread = (from_rest - quiet).std().item()
    assert spread == pytest.approx(0.1, rel=0.05)  # 20,000 draws: 10 standard errors
    assert (noisy - quiet).std().item() > spread


def test_an_undriven_leaky_state_decays_geometrically():
    net = LeakyRNN(5, alpha=0.2)
    net.init_model(2, 3)
    for p in net.cell.parameters():
        nn.init.zeros_(p)
    x0 = torch.arange(10.0).reshape(2, 5)
    states = net.rollout(torch.zeros(2, 10, 2), x0)[0]
    torch.testing.assert_close(states[:, -1], 0.8**10 * x0)


def test_low_rank_recurrence_has_its_rank():
    net = LowRankRNN(7, rank=2, alpha=0.5)
    net.init_model(2, 3)
    jacobian = net.cell.double().jacobian(torch.zeros(2).double(), torch.zeros(7).double())[0]
    recurrent = jacobian - 0.5 * torch.eye(7)
    assert torch.linalg.matrix_rank(recurrent, rtol=1e-10) == 2


def test_random_weights_have_the_spectral_radius_of_their_gain():
    for made in (ChaoticRateRNN(400, gain=1.5, alpha=1.0), ChaoticVanillaRNN(400, gain=1.5)):
        made.init_model(1, 1, seed=0)
        w = made.cell.weight_hh.detach().double()
        # circular law: the eigenvalues fill a disc of that radius, up to fluctuations of order D^(-1/2)
        assert torch.linalg.eigvals(w).abs().max().item() == pytest.approx(1.5, abs=0.1)
        assert w.std().item() == pytest.approx(1.5 / 20, rel=5 / 400)
        # undriven and at rest, both are x' = W x
        nudged = 1e-6 * draws(400)
        moved = made.cell.double()(torch.zeros(1, dtype=torch.float64), nudged)
        torch.testing.assert_close(moved, w @ nudged, rtol=1e-9, atol=1e-12)


def test_units_under_dales_law_excite_all_or_inhibit_all():
    net = EIRNN(50, excitatory_share=0.8, gain=1.5)
    net.init_model(3, 2, seed=0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3)
    for _ in range(20):
        optimizer.zero_grad()
        net.rollout(draws(8, 10, 3).float())[1].square().mean().backward()
        optimizer.step()
        w = net.cell.weight_hh.detach()
        assert (w[:, :40] >= 0).all() and (w[:, 40:] <= 0).all() and not w.diagonal().any()
    fresh = EIRNN(50, gain=1.5)
    fresh.init_model(3, 2, seed=0)
    w = fresh.cell.weight_hh.detach().double()
    assert torch.linalg.eigvals(w).abs().max().item() == pytest.approx(1.5, rel=1e-5)
    assert abs(w.sum(1).mean() / w.abs().sum(1).mean()) < 0.05  # excitation and inhibition cancel
    # the output does not see inhibitory units
    x = draws(1, 50).float().requires_grad_()
    fresh.readout(x).sum().backward()
    assert x.grad[:, :40].any() and not x.grad[:, 40:].any()


def test_a_network_under_dales_law_is_affine_where_no_unit_changes_sides():
    net = EIRNN(6, alpha=0.4)
    net.init_model(2, 1)
    cell, u, x = net.cell.double(), draws(2), draws(6, seed=1)
    least = float(x.abs().min())
    radii = torch.tensor([0.99 * least, 1.01 * least], dtype=torch.float64)
    assert cell.jacobian_lipschitz(u, x.expand(2, -1), radii).tolist() == [0.0, float("inf")]
    near = x + 0.5 * least * torch.nn.functional.normalize(draws(6, seed=2), dim=0)
    assert torch.equal(cell.jacobian(u, x)[0], cell.jacobian(u, near)[0])


def test_the_first_units_are_read_where_units_are_read():
    net = ChaoticRateRNN(5, read_units=True)
    net.init_model(2, 3)
    x = draws(4, 5).float()
    assert torch.equal(net.readout(x), torch.tanh(x[:, :3])) and not list(net.readout.parameters())
    with pytest.raises(
        ValueError, match=r"^`read_units`: expected at least 6 units, one an output, got latent_size=5\."
    ):
        net.init_model(2, 6)


def test_the_activity_penalty_is_the_mean_norm_of_a_trial_and_is_trained_on(small_task):
    from conjugacy.training import train

    latents = draws(3, 4, 5)
    want = sum(trial.square().sum().sqrt() for trial in latents) / 3
    assert NoisyGRULatentL2(5, l2_weight=0.1).model_loss(latents).item() == pytest.approx(0.1 * float(want))
    quiet, lively = (
        train(small_task, NoisyGRULatentL2(7, weight), seed=1, steps=30, batch_size=8, progress=False)
        for weight in (1.0, 0.0)
    )
    norms = [run.rollout("val").latents.flatten(1).norm(dim=1).mean() for run in (quiet, lively)]
    assert norms[0] < 0.7 * norms[1]


@pytest.mark.parametrize("kind", [GRU, LSTM, NODE])
def test_the_gain_scales_the_first_weights(kind):
    nets = [kind(6, gain=gain) for gain in (1.0, 0.5)]
    for net in nets:
        net.init_model(2, 1, seed=3)
    name = "field.0.weight" if kind is NODE else "lstm.weight_hh" if kind is LSTM else "weight_hh"
    full, half = (net.cell.get_parameter(name) for net in nets)
    torch.testing.assert_close(half, 0.5 * full)


def test_a_neural_ode_steps_along_its_field():
    net = NODE(3, num_layers=3, layer_hidden_size=8, step_size=0.1)
    net.init_model(2, 3)
    x, u = torch.ones(4, 3), torch.ones(4, 2)
    torch.testing.assert_close(net.step(x, u), x + 0.1 * net.cell.field(torch.cat([x, u], -1)))
    one = NODE(3, num_layers=1)
    one.init_model(2, 3)
    assert [type(m) for m in one.cell.field] == [nn.Linear]


def test_the_memory_bias_makes_a_slow_start():
    slow, fast = GRU(6, update_bias=3.0), GRU(6, update_bias=-3.0)
    for net in (slow, fast):
        net.init_model(2, 3)
    x = torch.full((1, 6), 0.5)
    u = torch.zeros(1, 2)
    assert (slow.step(x, u) - x).abs().mean() < 0.2 * (fast.step(x, u) - x).abs().mean()


def test_a_cell_that_does_not_fit_is_named():
    with torch.random.fork_rng():
        wrong_size, pair = nn.GRUCell(2, 6), nn.LSTMCell(2, 5)
    with pytest.raises(ValueError, match=r"^`cell`: failed on inputs \(2, 2\) and states \(2, 5\) .*latent_size=5\.$"):
        from_cell(wrong_size, 5).init_model(2, 3)
    with pytest.raises((TypeError, ValueError), match=r"^`cell`: "):
        from_cell(pair, 5).init_model(2, 3)
    with pytest.raises(TypeError, match=r"^`cell`: expected a torch\.nn\.Module, got function\."):
        from_cell(lambda u, x: x, 5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GRU(0), "`latent_size`: expected an integer >= 1, got 0. It is the number of units."),
        (
            lambda: GRU(5, noise_level=-1),
            "`noise_level`: expected a number in [0, inf), got -1. It is a standard deviation.",
        ),
        (lambda: LeakyRNN(5, alpha=1.5), "`alpha`: expected a number in (0, 1], got 1.5. It is dt / tau."),
        (
            lambda: LowRankRNN(5, rank=6),
            "`rank`: expected an integer in [1, 5], got 6. A rank cannot exceed latent_size.",
        ),
        (
            lambda: EIRNN(4, excitatory_share=0.95),
            "`excitatory_share`: expected units of both kinds, got 4 excitatory of 4. "
            "Choose a share in between, or more units.",
        ),
        (lambda: ChaoticRateRNN(4, gain=-1), "`gain`: expected a number in [0, inf), got -1."),
        (lambda: NODE(3, num_layers=0), "`num_layers`: expected an integer >= 1, got 0. It counts the linear layers."),
    ],
)
def test_bad_sizes_are_named(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()


def test_wrong_inputs_are_named():
    net = GRU(5)
    with pytest.raises(RuntimeError, match=r"^GRU has no weights yet: call init_model\(input_size, output_size\)\.$"):
        net.rollout(torch.zeros(1, 2, 3))
    net.init_model(2, 3)
    with pytest.raises(
        ValueError,
        match=r"^`inputs`: expected shape \(trial, time, input=2\), got \(1, 4, 3\)\. This network was built for 2",
    ):
        net.rollout(torch.zeros(1, 4, 3))
    with pytest.raises(ValueError, match=r"^`x0`: expected shape \(trial=1, state=5\), got \(1, 4\)\.$"):
        net.rollout(torch.zeros(1, 4, 2), torch.zeros(1, 4))
