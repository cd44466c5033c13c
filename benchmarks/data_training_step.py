"""A gradient step of each model of data, beside a plain PyTorch loop of the same model, in one run.

The plain loop is what one writes at first: torch's own bidirectional GRU as the encoder, the decoder's cell called bin
by bin, Adam, the same loss on the same batch. Steps of both alternate, and the medians are compared, so that whatever
else the machine does falls on both alike.

    python benchmarks/data_training_step.py [--bins 100] [--repeats 15]
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings

import numpy as np
import torch
from torch import nn

import conjugacy as cj
from conjugacy.models import LFADS, SequentialAutoencoder, StableLinear
from conjugacy.training import fitting
from conjugacy.training.recipe import Recipe

MODELS = {
    "NODE-3": cj.networks.NODE(3),
    "GRU-128": cj.networks.GRU(128),
    "vanilla-64": cj.networks.VanillaRNN(64),
    "low-rank-64": cj.networks.LowRankRNN(64, rank=3),
    "linear-8": StableLinear(8),
    "LFADS, GRU-64, 1 input": LFADS(cj.networks.GRU(64)),
}


class Plain(nn.Module):
    """An autoencoder in plain PyTorch, with the decoder and the readout of ours."""

    def __init__(self, model: SequentialAutoencoder, n_units: int):
        super().__init__()
        self.encoder = nn.GRU(n_units, model.encoder_size, bidirectional=True, batch_first=True)
        self.to_state = nn.Linear(2 * model.encoder_size, model.state_size)
        self.cell, self.readout = model.cell, model.readout

    def forward(self, counts: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """Log rates (trial, time, unit)."""
        last = self.encoder(counts)[1]
        x = self.to_state(torch.cat([last[0], last[1]], 1))
        states = []
        for t in range(counts.shape[1]):
            x = self.cell(inputs[:, t], x)
            states.append(x)
        return self.readout(torch.stack(states, 1))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bins", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=15)
    given = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*states for.*units")
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.1, (200, given.bins, 60))
    inputs = rng.standard_normal((200, given.bins, 3))
    recording = cj.Recording.from_counts(counts, 0.01, inputs=inputs, held_out=range(50, 60))
    print("| model | our step (ms) | plain PyTorch (ms) | ratio |\n|---|---|---|---|")
    for name, model in MODELS.items():
        run = fitting._begun(recording, model, 0, 0, {"short_timesteps": given.bins})
        recipe, data, units = Recipe(**run.recipe), run.tensors(run.rows("train")), list(range(60))
        ours = torch.optim.Adam(run.network.parameters())
        plain = None
        if isinstance(run.network, SequentialAutoencoder):
            plain = Plain(cj.fit(recording, model, steps=1, progress=False).network, 60)
            theirs = torch.optim.Adam(plain.parameters())
        times: dict[str, list[float]] = {"ours": [], "plain": []}
        for k in range(given.repeats + 2):
            begun = time.perf_counter()
            fitting._gradient_step(run, recipe, data, ours, k, units)
            times["ours"].append(time.perf_counter() - begun)
            if plain is None:
                continue
            begun = time.perf_counter()
            rows = rng.choice(len(data[0]), recipe.batch_size, replace=False)
            seen, u, n, valid = (x[rows] for x in data)
            loss = fitting.poisson_loss(plain(seen, u), n, valid)
            theirs.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(plain.parameters(), recipe.clip)
            theirs.step()
            times["plain"].append(time.perf_counter() - begun)
        a, b = (1e3 * statistics.median(x[2:]) if x else float("nan") for x in times.values())
        print(f"| {name} | {a:.1f} | {b:.1f} | {b / a:.2f} |", flush=True)


if __name__ == "__main__":
    main()
