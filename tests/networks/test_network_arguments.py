"""What networks refuse, and how they say it."""

import numpy as np
import pytest
import torch

from conjugacy import networks

KINDS = [k for k in vars(networks).values() if isinstance(k, type) and k.__name__ not in ("Network", "CellNetwork")]


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_that_no_network_has(kind):
    for wrong in (0, -1, "4", 4.5, True, None, float("inf"), np.ones(3), torch.float16):
        with pytest.raises(ValueError, match=r"^`latent_size`: expected an integer >= 1, got .*number of units.$"):
            kind(wrong)
    with pytest.raises(
        ValueError, match=r"^`latent_size`: expected at most 1000000, got 1000000000000000000000000000000"
    ):
        kind(10**30)


@pytest.mark.parametrize("name", ["gain", "update_bias", "forget_bias", "noise_level", "ic_noise", "step_size"])
def test_weights_and_noise_that_overflow_float32_are_refused_at_once(name):
    kinds = [k for k in KINDS if name in k.__init__.__code__.co_varnames]
    assert kinds
    for kind in kinds:
        with pytest.raises(ValueError, match=rf"^`{name}`: expected .*at most 1e\+06, got 1e\+300"):
            kind(4, **{name: 1e300})


@pytest.mark.parametrize(
    ("x", "u", "message"),
    [
        ("x", torch.zeros(3, 2), "^`x`: expected a tensor .*4.*, got 'x'"),
        (torch.zeros(3, 4), None, "^`u`: expected a tensor .*2.*, got None"),
        (torch.zeros(4, 3), torch.zeros(3, 2), r"^`x`: expected shape \(..., 4\), got \(4, 3\)"),
        (torch.zeros(3, 4), torch.zeros(3, 1), r"^`u`: expected shape \(..., 2\), got \(3, 1\)"),
        (torch.zeros(3, 4), torch.zeros(2, 2), r"^`u`: expected leading axes .* `x`, \(3, 4\), got \(2, 2\)"),
        (torch.tensor(0.0), torch.zeros(2, 2), r"^`x`: expected shape \(..., 4\), got \(\)"),
    ],
)
def test_steps(x, u, message):
    network = networks.GRU(4)
    network.init_model(2, 1)
    with pytest.raises((TypeError, ValueError), match=message):
        network.step(x, u)
