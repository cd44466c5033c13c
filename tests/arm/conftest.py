import pytest
import torch

from conjugacy.arm import ArmState


@pytest.fixture(scope="session")
def random_state():
    """``random_state(arm, n, seed, dtype) -> (state, action, load)``, all of it away from kinks and limits."""

    def draw(arm, n, seed=0, dtype=torch.float64):
        g = torch.Generator().manual_seed(seed)
        low, high = arm.joint_limits.unbind(1)
        q = low + (high - low) * torch.rand(n, 2, generator=g, dtype=torch.float64)
        qd = 3 * torch.randn(n, 2, generator=g, dtype=torch.float64)
        a = arm.muscle.min_activation + 0.9 * torch.rand(n, 6, generator=g, dtype=torch.float64)
        force = 500 * torch.rand(n, 6, generator=g, dtype=torch.float64)
        action = 0.05 + 0.9 * torch.rand(n, 6, generator=g, dtype=torch.float64)
        load = 5 * torch.randn(n, 2, generator=g, dtype=torch.float64)
        return ArmState(q.to(dtype), qd.to(dtype), a.to(dtype), force.to(dtype)), action.to(dtype), load.to(dtype)

    return draw
