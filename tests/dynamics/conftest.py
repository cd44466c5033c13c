"""The published network, where its weights are at hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from conjugacy.system import System

REPOSITORY = Path(__file__).parents[2]
PRETRAINED = [p / "shared" / "reference" / "pretrained" for p in (REPOSITORY, REPOSITORY.parent)]


def network(name: str, n_units: int, n_trials: int, n_steps: int, switch: float) -> System:
    """A flip-flop GRU from shared/reference/pretrained as a System (none of its numbers are stored here)."""
    path = next((p / f"{name}.npz" for p in PRETRAINED if (p / f"{name}.npz").exists()), None)
    if path is None:
        pytest.skip(f"the weights (shared/reference/pretrained/{name}.npz) are not here")
    with np.load(path) as z:
        w = {k: torch.from_numpy(z[k]).double() for k in z.files}
    gru = nn.GRUCell(3, n_units, device="meta", dtype=torch.float64).to_empty(device="cpu")
    with torch.no_grad():
        for parameter, p in gru.named_parameters():
            p.copy_(w[f"cell.{parameter}"])
    generator = torch.Generator().manual_seed(1)
    u = 0.15 * torch.randn(n_trials, n_steps, 3, generator=generator, dtype=torch.float64)
    s = torch.rand(n_trials, n_steps, 3, generator=generator)
    u = u + (s < switch).double() - (s > 1 - switch).double()
    x, visited = w["latent_ics"].reshape(1, -1).expand(n_trials, -1), []
    with torch.no_grad():
        for t in range(n_steps):
            x = gru(u[:, t], x)
            visited.append(x)
    return System(
        name,
        torch.stack(visited, 1),
        u,
        torch.full((n_trials,), n_steps),
        step=lambda x, u: gru(u, x),
        cell=gru,
        readout=lambda x: x @ w["readout.weight"].T + w["readout.bias"],
    )


@pytest.fixture(scope="session")
def published():
    """The flip-flop GRU of CtDB's authors."""
    return network("nbff", 64, 24, 150, 0.01)


@pytest.fixture(scope="session")
def saturated():
    """A flip-flop GRU whose update gates saturate: its memories are plateaus."""
    return network("saturated_gru128", 128, 60, 500, 0.0075)
