"""The published network, where its weights are at hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from conjugacy.system import System

REPOSITORY = Path(__file__).parents[2]
PRETRAINED = [p / "shared" / "reference" / "pretrained" for p in (REPOSITORY, REPOSITORY.parent)]


@pytest.fixture(scope="session")
def published():
    """The flip-flop GRU of CtDB's authors as a System (None of its numbers are stored here)."""
    path = next((p / "nbff.npz" for p in PRETRAINED if (p / "nbff.npz").exists()), None)
    if path is None:
        pytest.skip("the published weights (shared/reference/pretrained/nbff.npz) are not here")
    with np.load(path) as z:
        w = {k: torch.from_numpy(z[k]).double() for k in z.files}
    gru = nn.GRUCell(3, 64, device="meta", dtype=torch.float64).to_empty(device="cpu")
    with torch.no_grad():
        for name, p in gru.named_parameters():
            p.copy_(w[f"cell.{name}"])
    generator = torch.Generator().manual_seed(1)
    u = 0.15 * torch.randn(24, 150, 3, generator=generator, dtype=torch.float64)
    s = torch.rand(24, 150, 3, generator=generator)
    u = u + (s < 0.01).double() - (s > 0.99).double()
    x, visited = w["latent_ics"].expand(24, -1), []
    with torch.no_grad():
        for t in range(150):
            x = gru(u[:, t], x)
            visited.append(x)
    return System(
        "nbff",
        torch.stack(visited, 1),
        u,
        torch.full((24,), 150),
        step=lambda x, u: gru(u, x),
        cell=gru,
        readout=lambda x: x @ w["readout.weight"].T + w["readout.bias"],
    )
