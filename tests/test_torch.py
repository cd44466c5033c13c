"""What is asked of torch's private parts, answered by its public ones too."""

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

from conjugacy import _torch
from conjugacy.dynamics.jacobian import autodiff_jacobian


@pytest.fixture(params=["private", "public"])
def transformed(request, monkeypatch):
    if request.param == "public":
        monkeypatch.setattr(_torch, "_private", lambda place, name: None)
    return _torch.transformed


def test_transforms_are_seen(transformed):
    seen = []

    def watched(x):
        seen.append(transformed(x))
        return x**2

    x = torch.ones(3, dtype=torch.float64)
    for run in (
        lambda: torch.func.vmap(watched)(x),
        lambda: torch.func.grad(lambda x: watched(x).sum())(x),
        lambda: torch.func.jacrev(watched)(x),
        lambda: torch.func.vmap(torch.func.jacrev(watched))(x),
    ):
        run()
    assert seen == [True] * 4


@pytest.mark.slow  # torch compiles for seconds when forward derivatives are first used
@pytest.mark.filterwarnings("ignore:.*jit.script:DeprecationWarning")
def test_forward_derivatives_are_seen(transformed):
    x = torch.ones(3, dtype=torch.float64)
    with forward_ad.dual_level():
        assert transformed(forward_ad.make_dual(x, x))
    seen = []
    torch.func.jvp(lambda x: (seen.append(transformed(x)), x**2)[1], (x,), (x,))
    assert seen == [True]


def test_plain_calls_are_no_transforms(transformed):
    x = torch.ones(3, requires_grad=True)
    assert not transformed(x) and not transformed(x * 2, torch.ones(2))
    with torch.no_grad():
        assert not transformed(x)


def test_the_way_without_private_parts_is_right_where_nothing_can_be_asked(monkeypatch):
    monkeypatch.setattr(_torch, "_private", lambda place, name: None)
    assert _torch.transformed()  # slower, never wrong


@pytest.mark.parametrize(
    "convert",
    [lambda m, x: m.double(), lambda m, x: m.to(x.dtype), lambda m, x: m.to(x), lambda m, x: m.float().double()],
)
def test_a_module_that_is_converted_inside_a_step_is_differentiated(convert):
    with torch.random.fork_rng():
        cell = nn.GRUCell(2, 3)
    step = lambda x, u: convert(cell, x)(u, x)  # noqa: E731
    x, u = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).double(), torch.zeros(4, 2).double()
    once = cell.double()
    expected = autodiff_jacobian(lambda x, u: once(u, x), x, u)
    for a, b in zip(autodiff_jacobian(step, x, u), expected):
        torch.testing.assert_close(a, b)
