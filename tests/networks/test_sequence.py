import gc

import pytest
import torch
from torch import nn

from conjugacy._threads import torch_threads
from conjugacy.networks import plain_sequence, sequence
from conjugacy.networks.cells import FlowCell
from conjugacy.networks.compiled.blocks import _SPARE, trial_blocks
from conjugacy.networks.compiled.flow import flow_states
from conjugacy.networks.compiled.gru import gru_states


def cell_and_data(n=7, t=11, i=2, d=5, dtype=torch.float32, scale=1.0):
    g = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        cell = nn.GRUCell(i, d)
    for p in cell.parameters():
        nn.init.normal_(p, std=scale, generator=g)
    draw = lambda *shape: torch.randn(*shape, generator=g).to(dtype).requires_grad_()  # noqa: E731
    return cell.to(dtype), draw(n, t, i), draw(n, d), torch.randn(n, t, d, generator=g).to(dtype)


def gradients(states, cell, inputs, x0, weight):
    leaves = [inputs, x0, *cell.parameters()]
    for leaf in leaves:
        leaf.grad = None
    y = states(cell, inputs, x0)
    (y * weight).sum().backward()
    return y.detach(), [leaf.grad.clone() for leaf in leaves]


def flow_cell_and_data(n=7, t=11, i=2, d=3, num_layers=3, width=5, **others):
    _, inputs, x0, weight = cell_and_data(n, t, i, d, **others)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        cell = FlowCell(i, d, num_layers, width, step=0.1)
    return cell, inputs, x0, weight


@pytest.mark.parametrize("shape", [(7, 11, 2, 5), (1, 1, 3, 1), (2, 40, 1, 17), (3, 1, 2, 33), (37, 9, 2, 5)])
@pytest.mark.parametrize("scale", [0.3, 1.0])  # larger weights amplify the rounding of any order of operations
def test_the_kernel_and_its_gradient_equal_the_plain_loop_in_float64(shape, scale):
    cell, inputs, x0, weight = cell_and_data(*shape, scale=scale)
    y, grads = gradients(gru_states, cell, inputs, x0, weight)
    double = [x.detach().double().requires_grad_() for x in (inputs, x0)]
    exact, exact_grads = gradients(plain_sequence, cell.double(), *double, weight.double())
    torch.testing.assert_close(y.double(), exact, rtol=1e-5, atol=1e-5)
    for ours, plain in zip(grads, exact_grads):
        assert (ours - plain).abs().max() <= 1e-5 * plain.abs().max().clamp(min=1e-3)


@pytest.mark.parametrize("n", [1, 7, 37])
@pytest.mark.parametrize("num_layers", [2, 3, 5])
def test_the_flow_kernel_and_its_gradient_equal_the_plain_loop_in_float64(n, num_layers):
    cell, inputs, x0, weight = flow_cell_and_data(n, num_layers=num_layers)
    y, grads = gradients(flow_states, cell, inputs, x0, weight)
    double = [x.detach().double().requires_grad_() for x in (inputs, x0)]
    exact, exact_grads = gradients(plain_sequence, cell.double(), *double, weight.double())
    torch.testing.assert_close(y.double(), exact, rtol=1e-5, atol=1e-5)
    for ours, plain in zip(grads, exact_grads):
        assert (ours - plain).abs().max() <= 1e-5 * plain.abs().max().clamp(min=1e-3)


@pytest.mark.parametrize("n", [1, 15, 16, 64, 129, 800])
def test_blocks_hold_every_trial_once_and_share_out_evenly(n):
    blocks = trial_blocks(n)
    assert [m for b in blocks for m in range(b.start, b.stop)] == list(range(n))
    sizes = [b.stop - b.start for b in blocks]
    assert max(sizes) <= 64 and max(sizes) - min(sizes) <= 1
    assert len(blocks) == 1 if n < 16 else len(blocks) % 2 == 0


@pytest.mark.parametrize(("states", "make"), [(gru_states, cell_and_data), (flow_states, flow_cell_and_data)])
def test_any_number_of_threads_gives_the_same_numbers(states, make):
    cell, inputs, x0, weight = make(150)
    results = []
    for kernels in (1, 2, 3):
        with torch_threads(1, kernels=kernels):
            y, grads = gradients(states, cell, inputs, x0, weight)
            results.append([y, *grads])
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other))


def test_kernels_take_the_threads_that_torch_had_outside_and_pass_errors_on(monkeypatch):
    import conjugacy._threads as threads

    seen = []
    pool = threads.ThreadPoolExecutor
    monkeypatch.setattr(threads, "ThreadPoolExecutor", lambda n: seen.append(n) or pool(n))
    before = torch.get_num_threads()
    with torch_threads(3, kernels=3), torch_threads(1):
        assert torch.get_num_threads() == 1
        threads.on_threads(lambda k: None, 5)
        threads.on_threads(lambda k: None, 2)
    assert torch.get_num_threads() == before
    assert seen == [3, 2]
    with pytest.raises(KeyError, match="3"):
        threads.on_threads({0: None, 1: None, 2: None}.__getitem__, 4)


def test_saturated_gates_neither_overflow_nor_drift():
    cell, inputs, x0, _ = cell_and_data(scale=60.0)
    with torch.no_grad():
        y = gru_states(cell, 10 * inputs, x0)
        exact = plain_sequence(cell.double(), 10 * inputs.double(), x0.double())
    assert torch.isfinite(y).all()
    assert (y - exact).abs().median() < 1e-6


def test_large_rollouts_take_the_kernel_and_small_or_double_ones_do_not(monkeypatch):
    import conjugacy.networks.compiled.gru as kernel

    calls = []
    monkeypatch.setattr(kernel, "gru_states", lambda *a: calls.append(a) or gru_states(*a))
    cell, inputs, x0, _ = cell_and_data(16, 100, 2, 128)
    sequence(cell, inputs, x0)
    assert len(calls) == 1
    sequence(cell, inputs[:2], x0[:2])
    sequence(cell.double(), inputs.double(), x0.double())
    assert len(calls) == 1


def test_buffers_are_reused_without_mixing_up_rollouts():
    cell, inputs, x0, weight = cell_and_data()
    first = gradients(gru_states, cell, inputs, x0, weight)
    for _ in range(2):
        again = gradients(gru_states, cell, inputs, x0, weight)
        assert all(torch.equal(a, b) for a, b in zip(first[1], again[1]))
    # two rollouts alive at once: each has its own buffers
    one, two = gru_states(cell, inputs, x0), gru_states(cell, 2 * inputs, x0)
    cell.zero_grad()
    inputs.grad = None
    (one * weight).sum().backward()
    torch.testing.assert_close(inputs.grad, first[1][0])
    (two * weight).sum().backward()
    few = inputs[:, :4].detach().requires_grad_()
    shorter = gradients(gru_states, cell, few, x0, weight[:, :4])
    plain = gradients(plain_sequence, cell, few, x0, weight[:, :4])
    torch.testing.assert_close(shorter[1][2], plain[1][2], rtol=1e-4, atol=1e-5)


def test_buffers_die_with_their_cell():
    cell, inputs, x0, weight = cell_and_data()
    gc.collect()
    before = len(_SPARE)
    gradients(gru_states, cell, inputs, x0, weight)
    assert len(_SPARE) == before + 1
    del cell
    gc.collect()
    assert len(_SPARE) <= before


def test_a_second_backward_and_a_changed_output_are_errors_not_wrong_numbers():
    cell, inputs, x0, weight = cell_and_data()
    loss = (gru_states(cell, inputs, x0) * weight).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="gradient of these GRU states was taken before; roll the network out again"):
        loss.backward()
    y = gru_states(cell, inputs, x0)
    loss = (y * weight).sum()
    y.detach().add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
