"""Time constants of gates and modes where they are known by construction."""

import math

import pytest
import torch
from torch import nn

import conjugacy as cj
from conjugacy.dynamics import as_map, memory_times

UPDATE = torch.tensor([-1.0, 0.0, 3.0, 6.5, 40.0], dtype=torch.float64)  # z: 0.27, 0.5, 0.95, 0.9985, 1 - 4e-18


def visited(n_units, n_inputs=2, n_trials=3, n_timesteps=50, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n_trials, n_timesteps, n_units, generator=generator, dtype=torch.float64) - 0.5
    return x, torch.randn(n_trials, n_timesteps, n_inputs, generator=generator, dtype=torch.float64)


def system_of(cell, n_units, dt=None):
    x, u = visited(n_units)
    lengths = torch.full((len(x),), x.shape[1])
    return cj.System("cell", x, u, lengths, step=lambda x, u: cell(u, x), cell=cell, dt=dt, step_tolerance=float("inf"))


@pytest.fixture
def gru():
    """Update gates that know their bias only, and no recurrent candidate: every unit forgets alone, as z^t."""
    with torch.random.fork_rng():
        cell = nn.GRUCell(2, 5).double()
    for p in cell.parameters():
        nn.init.zeros_(p)
    nn.init.normal_(cell.weight_ih[10:].detach(), generator=torch.Generator().manual_seed(3))
    cell.bias_ih.data[5:10] = UPDATE
    return cell


def test_units_of_fixed_gates_forget_as_their_gates_say_and_so_do_the_modes(gru):
    times = memory_times(system_of(gru, 5), n_states=7)
    assert times.horizon == 50 and times.leak.shape == (7, 5) and times.rates.shape == (7, 5)
    torch.testing.assert_close(times.leak, torch.sigmoid(-UPDATE).expand(7, 5), rtol=1e-12, atol=0)
    alone = -1 / torch.log(torch.sigmoid(UPDATE[:4]))
    torch.testing.assert_close(times.unit_times[:, :4], alone.expand(7, 4))
    assert times.unit_times[0, 4] == pytest.approx(math.exp(40.0), rel=1e-10)  # 1 - z is 0 in double precision
    torch.testing.assert_close(times.rates[:, 1:], (-1 / alone).sort(descending=True).values.expand(7, 4))
    assert times.frozen_units.tolist() == [[False, False, False, True, True]] * 7
    table = times.table()
    assert table.loc["units", ["count", "frozen", "frozen_least", "frozen_most", "frozen_always"]].tolist() == [
        5, 2, 2, 2, 2,
    ]  # fmt: skip
    assert table.loc["modes", ["count", "frozen", "growing"]].tolist() == [5, 2, 0]
    assert table.loc["units", "median"] == pytest.approx(float(alone[2]))
    assert str(times) == (
        "cell, on a horizon of 50 steps: 2 of 5 gated units are frozen in a typical state (2 to 2, 2 in every one); "
        "2 of 5 modes are frozen in a typical state (2 to 2), 0 growing."
    )


def test_a_longer_horizon_freezes_less_and_seconds_scale_the_times(gru):
    system = system_of(gru, 5, dt=0.02)
    times = memory_times(system, 1e4)
    assert times.table().loc["units", "frozen"] == 1 and "10000 steps (200 s)" in str(times)
    assert times.table().loc["units", "median"] == pytest.approx(0.02 / math.log(1 + math.exp(-3)))


def test_the_memory_of_an_lstm_is_its_forget_gate():
    with torch.random.fork_rng():
        cell = nn.LSTMCell(2, 3).double()
    generator = torch.Generator().manual_seed(1)
    for p in cell.parameters():
        nn.init.normal_(p, generator=generator)
    x, u = visited(6)
    leak = as_map(cell).leak(x[0], u[0])
    h, c = x[0].split(3, -1)
    a = (u[0] @ cell.weight_ih.T + cell.bias_ih + h @ cell.weight_hh.T + cell.bias_hh).detach()
    torch.testing.assert_close(leak, 1 - torch.sigmoid(a[:, 3:6]))
    # without input gate, c' = f c
    cell.bias_ih.data[:3] = -1e3
    kept = cell(u[0], (h, c))[1].detach()
    torch.testing.assert_close(kept, (1 - as_map(cell).leak(x[0], u[0])) * c)


def test_modes_of_a_linear_map_are_its_eigenvalues():
    values = torch.tensor([1.5, 1.0005, 0.9995, 0.5, 0.0], dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64))[0]
    matrix = basis @ torch.diag(values) @ basis.T
    x = visited(5)[0]
    system = cj.System.from_arrays("line", x, step=lambda x, u: x @ matrix.T, step_tolerance=float("inf"))
    times = memory_times(system, 100, n_states=4)
    assert times.leak is None and times.unit_times is None and times.frozen_units is None
    torch.testing.assert_close(times.rates[:, :4], values[:4].log().expand(4, 4), rtol=1e-9, atol=1e-12)
    table = times.table()
    assert table.index.tolist() == ["modes"]
    assert table.loc["modes", ["frozen", "growing"]].tolist() == [2, 1]
    assert memory_times(system, 10_000).table().loc["modes", ["frozen", "growing"]].tolist() == [0, 2]
    assert str(times).endswith("2 of 5 modes are frozen in a typical state (2 to 2), 1 growing.")


def test_a_cell_of_ones_own_may_offer_its_leak():
    class Cell(nn.Module):
        def forward(self, u, x):
            return x + self.leak(u, x) * (u - x)

        def leak(self, u, x):
            return torch.sigmoid(u)

    x, u = visited(2)
    lengths = torch.tensor([50, 3, 1])
    system = cj.System("own", x, u, lengths, lambda x, u: Cell()(u, x), Cell(), step_tolerance=float("inf"))
    times = memory_times(system, 20)
    assert times.leak.shape == (51, 2)  # of the trials of 50, 3 and 1 steps
    torch.testing.assert_close(times.leak[:49], torch.sigmoid(u[0, 1:]))
    torch.testing.assert_close(times.leak[49:], torch.sigmoid(u[1, 1:3]))


def test_what_cannot_be_asked_is_said(gru):
    with pytest.raises(ValueError, match=r"^`horizon`: expected a number in \(0, inf\), got 0"):
        memory_times(system_of(gru, 5), 0)
    with pytest.raises(ValueError, match=r"^`system`: expected trials of at least 2 steps, got 1"):
        memory_times(cj.System.from_arrays("one", torch.zeros(3, 1, 2), step=lambda x, u: x))
    bad = cj.System.from_arrays(
        "bad", torch.ones(3, 4, 2), step=lambda x, u: x * torch.nan, step_tolerance=float("inf")
    )
    with pytest.raises(ValueError, match=r"^`system`: the Jacobian of bad is not finite in visited states"):
        memory_times(bad)


def test_an_analysis_sums_up_a_trained_network(small_runs):
    for run in small_runs:
        times = cj.Analysis(run).timescales(n_states=5)
        assert times.horizon == 40 and len(times.rates) == 5
        assert (times.leak is None) == (type(run.network).__name__ == "NODE")
        assert times.table().loc["modes", "count"] == run.network.state_size
