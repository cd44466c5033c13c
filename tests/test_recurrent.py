"""torch's recurrent modules, alone and in models, against torch's own rollout and automatic differentiation."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import conjugacy as cj
from conjugacy._recurrent import find_layers
from conjugacy.dynamics._as_map import as_map
from conjugacy.dynamics.jacobian import _row_by_row

N_IN, D = 3, 4


@pytest.fixture(autouse=True)
def weights_drawn_apart():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


KINDS = {"GRU": {}, "LSTM": {}, "RNN": {}, "RNN relu": {"nonlinearity": "relu"}}


def made(kind, *sizes, seed=0, **options):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = getattr(nn, kind.split()[0])(*sizes, **KINDS.get(kind, {}), **options)
        with torch.no_grad():
            for p in module.parameters():
                p.mul_(2.0)
    return module


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rollout(module, u):
    """Final states (trial, D) under inputs u (trial, time, input): layers side by side, each [h, c]."""
    module = module.double().eval()
    out = module(u if module.batch_first else u.transpose(0, 1))[1]
    parts = out if isinstance(out, tuple) else (out,)
    return torch.cat([part[layer] for layer in range(module.num_layers) for part in parts], -1).detach()


def orbit(dynamics, u):
    x = torch.zeros(len(u), dynamics.n_units, dtype=torch.float64)
    for t in range(u.shape[1]):
        x = dynamics.step(x, u[:, t])
    return x


OPTIONS = {
    "plain": {}, "batch first": {"batch_first": True}, "no bias": {"bias": False}, "two layers": {"num_layers": 2},
    "three layers, dropout": {"num_layers": 3, "dropout": 0.5, "batch_first": True},
    "float64": {"dtype": torch.float64},
}  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_module_steps_and_differentiates_as_torch_does(kind, options):
    module = made(kind, N_IN, D, **OPTIONS[options])
    before = [p.clone() for p in module.parameters()], module.training
    dynamics = as_map(module)
    assert all(torch.equal(a, b) for a, b in zip(before[0], module.parameters())) and module.training == before[1]
    assert dynamics.n_inputs == N_IN and dynamics.jacobian is not None
    u = numbers(5, 6, N_IN)
    torch.testing.assert_close(orbit(dynamics, u), rollout(module, u), rtol=1e-10, atol=1e-12)
    x, v = numbers(7, dynamics.n_units, seed=1), numbers(7, N_IN, seed=2)
    for mine, theirs in zip(dynamics.jacobians(x, v), _row_by_row(dynamics.step, x, v)):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", ["GRU", "LSTM", "RNN"])
def test_layers_keep_their_box(kind):
    dynamics = as_map(made(kind, N_IN, D, 2))
    u = numbers(N_IN)
    lower, upper = dynamics.box(u)
    corners = torch.where(numbers(400, dynamics.n_units) > 0, upper, lower)
    image = dynamics.step(corners, u.expand(400, -1))
    assert bool(((image >= lower) & (image <= upper)).all())
    assert as_map(made("RNN relu", N_IN, D, 2)).box is None


def test_fixed_points_of_layers_are_fixed_points_of_torch():
    module = made("GRU", 2, 3, 2, batch_first=True)
    points = cj.fixed_points(module, inputs=[0.2, -0.1], n_inits=64, progress=False)
    fixed = torch.from_numpy(points.x[points.q < 1e-20])
    assert len(fixed)
    hidden = fixed.reshape(-1, 2, 3).transpose(0, 1).contiguous()
    after = module.double()(torch.tensor([0.2, -0.1], dtype=torch.float64).expand(len(fixed), 1, 2), hidden)[1]
    torch.testing.assert_close(after.detach(), hidden, atol=1e-9, rtol=0)


class Model(nn.Module):
    """A recurrent module and a readout, as people write them."""

    def __init__(self, rnn, readout=None):
        super().__init__()
        self.rnn = rnn
        self.out = readout or nn.Linear(rnn.hidden_size, 1)
        self.drop = nn.Dropout(0.5)


class OutputHidden(Model):
    def forward(self, x, h=None):
        y, h = self.rnn(x, h)
        return self.out(self.drop(y)), h


class OutputOnly(Model):
    def forward(self, x):
        return self.out(self.rnn(x)[0])


class HiddenNeeded(Model):
    def forward(self, inputs, hidden):
        y, hidden = self.rnn(inputs, hidden)
        return self.out(y), hidden


class LastOnly(Model):
    def forward(self, x):
        y, _ = self.rnn(x)
        return self.out(y[:, -1] if self.rnn.batch_first else y[-1])


class Transposing(Model):
    def forward(self, x):
        y, h = self.rnn(x.transpose(0, 1))
        return self.out(y).transpose(0, 1), h


class OneStep(Model):
    def forward(self, x, h):
        lstm = isinstance(self.rnn, nn.LSTM)
        state = tuple(s[None] for s in h.chunk(2, -1)) if lstm else h[None]
        y, new = self.rnn(x[:, None] if self.rnn.batch_first else x[None], state)
        return self.out(y), torch.cat([s[0] for s in new], -1) if lstm else new[0]


class Nested(nn.Module):
    def __init__(self, rnn):
        super().__init__()
        self.body = nn.ModuleDict({"rnn": OutputHidden(rnn)})

    def forward(self, x):
        return self.body["rnn"](x)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("model", [OutputHidden, OutputOnly, HiddenNeeded, LastOnly, Transposing, OneStep, Nested])
@pytest.mark.parametrize("kind", ["GRU", "LSTM", "RNN"])
def test_models_around_a_module_are_the_module(kind, model, batch_first):
    rnn = made(kind, N_IN, D, batch_first=batch_first)
    given = model(rnn)
    assert given.training
    dynamics = as_map(given)
    assert dynamics.reduced is not None or kind == "RNN"
    assert given.training and next(given.parameters()).dtype == torch.float32
    u = numbers(4, 5, N_IN)
    torch.testing.assert_close(orbit(dynamics, u), rollout(rnn, u), rtol=1e-10, atol=1e-12)


class Loop(nn.Module):
    """A cell in a loop over time."""

    def __init__(self, cell, scale=1.0):
        super().__init__()
        self.cell, self.scale = cell, scale
        self.out = nn.Linear(cell.hidden_size, 1)

    def forward(self, x):
        state, ys = None, []
        for t in range(x.shape[1]):
            state = self.cell(x[:, t], state)
            if self.scale != 1:
                state = tuple(self.scale * s for s in state) if isinstance(state, tuple) else self.scale * state
            ys.append(self.out(state[0] if isinstance(state, tuple) else state))
        return torch.stack(ys, 1)


class CellStep(Loop):
    """One step of a cell, with its output."""

    def forward(self, x, h):
        h = self.cell(x, h)
        return self.out(h[0] if isinstance(h, tuple) else h), h


@pytest.mark.parametrize("model", [Loop, CellStep])
@pytest.mark.parametrize("kind", ["GRUCell", "LSTMCell", "RNNCell"])
def test_models_around_a_cell_are_the_cell(kind, model):
    cell = made(kind, N_IN, D)
    dynamics, bare = as_map(model(cell)), as_map(cell)
    x, u = numbers(6, bare.n_units), numbers(6, N_IN, seed=1)
    torch.testing.assert_close(dynamics.step(x, u), bare.step(x, u))
    assert dynamics.name == bare.name


class Encoder(Model):
    def forward(self, x):
        return self.rnn(torch.tanh(x))[1]


class Lengths(Model):
    def forward(self, x, lengths, mask):
        return self.rnn(x)[1]


class Detour(Model):
    """The recurrent module gets the input, and what it remembers is thrown away at every other step."""

    def forward(self, x):
        h, ys = None, []
        for t in range(x.shape[1]):
            y, h = self.rnn(x[:, t : t + 1], h)
            h = 0.5 * h
            ys.append(y)
        return torch.cat(ys, 1)


@pytest.mark.parametrize(
    ("model", "reason"),
    [(Encoder, "it sees another one"), (Lengths, "it cannot be called on"), (Detour, "its state is changed between")],
)
def test_models_that_change_what_their_module_sees_are_refused_with_a_way_out(model, reason):
    with pytest.raises(ValueError, match=rf"^`step_or_system`: .*GRU as it is, but {reason}.*model\.rnn") as caught:
        as_map(model(made("GRU", N_IN, D, batch_first=True)))
    assert "\n" not in str(caught.value)


def test_a_step_around_a_cell_that_does_more_is_called_as_it_is():
    class Leaky(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = made("GRUCell", N_IN, D)

        def forward(self, x, h):
            return 0.5 * h + 0.5 * self.cell(x, h)

    given = Leaky()
    x, u = numbers(5, D), numbers(5, N_IN, seed=1)
    dynamics = as_map(given)
    assert dynamics.reduced is None
    torch.testing.assert_close(dynamics.step(x, u), 0.5 * x + 0.5 * as_map(given.cell).step(x, u))
    assert float(dynamics.jacobians(x, u)[0].abs().sum()) > 0


def test_a_subclass_with_its_own_forward_is_no_module_of_torch():
    class Mine(nn.GRUCell):
        def forward(self, input, hx=None):
            return 2 * hx + input[:, :1]

    with torch.random.fork_rng():
        cell = Mine(N_IN, D)
    x, u = numbers(5, D), numbers(5, N_IN, seed=1)
    torch.testing.assert_close(as_map(cell).step(x, u), 2 * x + u[:, :1])


@pytest.mark.parametrize("prefix", ["", "rnn.", "module.net.rnn."])
@pytest.mark.parametrize("kind", ["GRU", "LSTM", "GRUCell", "LSTMCell", "GRU 2", "LSTM 3"])
def test_state_dicts_are_their_modules(kind, prefix):
    name, _, layers = kind.partition(" ")
    module = made(name, N_IN, D, **({"num_layers": int(layers)} if layers else {}))
    state = {f"{prefix}{k}": v for k, v in module.state_dict().items()} | {"out.weight": torch.ones(1, D)}
    x = numbers(5, as_map(module).n_units)
    u = numbers(5, N_IN, seed=1)
    for given in (state, {"state_dict": state, "epoch": 3}, {k: v.numpy() for k, v in state.items()}):
        torch.testing.assert_close(as_map(given).step(x, u), as_map(module).step(x, u))


def test_a_state_dict_of_a_plain_network_says_what_it_takes_for_granted():
    for kind in ("RNN", "RNNCell"):
        module = made(kind, N_IN, D)
        with pytest.warns(UserWarning, match="taken to be tanh"):
            dynamics = as_map(module.state_dict())
        x, u = numbers(5, D), numbers(5, N_IN, seed=1)
        torch.testing.assert_close(dynamics.step(x, u), as_map(module).step(x, u))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            lambda: made("GRU", N_IN, D, bidirectional=True),
            "expected a module that runs forward in time, got a bidirect",
        ),
        (lambda: made("LSTM", N_IN, D, bidirectional=True).state_dict(), "expected a module that runs forward in time"),
        (lambda: made("LSTM", N_IN, D, proj_size=2), "expected an LSTM without projection"),
        (lambda: made("LSTM", N_IN, D, proj_size=2).state_dict(), "expected an LSTM without projection"),
        (lambda: {}, r"expected a state_dict .* got 0 of them in dict with nothing"),
        (
            lambda: nn.Linear(2, 2).state_dict(),
            "expected a state_dict .* got 0 of them in OrderedDict with weight, bias",
        ),
        (lambda: nn.ModuleList([nn.GRU(2, 2), nn.GRU(2, 2)]).state_dict(), "expected a state_dict .* got 2 of them"),
        (lambda: {"weight_ih_l0": np.ones((8, 2)), "weight_hh_l0": np.ones((8, 4))}, r"expected weight_hh .*\(8, 4\)"),
        (lambda: {"weight_hh_l0": np.ones((12, 4))}, "expected weight_ih and weight_hh of each layer"),
        (lambda: {"weight_ih_l0": np.ones((9, 2)), "weight_hh_l0": np.ones((12, 4))}, "expected weight_ih of layer 0"),
    ],
)
def test_what_is_no_single_forward_network_is_refused(given, message):
    with torch.random.fork_rng():
        given = given()
    with pytest.raises((ValueError, TypeError), match=f"^`step_or_system`: {message}"):
        as_map(given)


def test_a_cell_is_no_vector_field():
    with pytest.raises(ValueError, match=r"^`kind`: expected 'map' for GRU, .*, got 'flow'"):
        as_map(made("GRU", N_IN, D), "flow")


@pytest.mark.parametrize("where", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("kind", ["GRU", "LSTM", "custom"])
def test_gradients_may_be_off(kind, where):
    class Custom(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(numbers(D, D).float())

        def forward(self, u, x):
            return torch.tanh(x @ self.w.T) + u[:, :1]

    given = Custom() if kind == "custom" else made(kind, N_IN, D)
    n = as_map(given).n_units or D
    x, u = numbers(5, n), numbers(5, N_IN, seed=1)
    expected = as_map(given).jacobians(x, u)
    with where():
        for a, b in zip(as_map(given).jacobians(x + 0, u + 0), expected):
            torch.testing.assert_close(a, b)
        points = cj.fixed_points(given, x + 0, u[0] + 0, n_inits=16, progress=False)
    assert len(points) and points.x.dtype == np.float64


@pytest.mark.parametrize("default", [torch.float32, torch.float64])
def test_the_default_dtype_does_not_matter(default):
    module = made("LSTM", N_IN, D, 2)
    x, u = numbers(5, 4 * D), numbers(5, N_IN, seed=1)
    expected = as_map(module).step(x, u)
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        torch.testing.assert_close(as_map(module).step(x, u), expected)
        found = cj.fixed_points(module, inputs=np.float64(0.2), n_inits=16, progress=False)
        assert found.u.dtype == np.float64 and float(found.u[0, 0]) == 0.2
        assert cj.fixed_points(lambda x, u: 0.5 * x + u, [[0.0]], 0.2, n_inits=8, progress=False).x.item() == 0.4
    finally:
        torch.set_default_dtype(before)


def test_nothing_random_is_drawn_and_no_warning_shown():
    module = OutputHidden(made("GRU", N_IN, D))
    before = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layers = find_layers(module)
    assert repr(layers) == "Layers(GRUCell(3, 4))" and torch.equal(before, torch.get_rng_state())
    assert find_layers(nn.Linear(2, 2)) is None and find_layers(3) is None
