"""Certified horizons beside brute force: for how long memories are held, as proofs and as attacks find it.

    python benchmarks/certified_horizons.py [NAME ...]

trains small networks on the 2-bit flip-flop (and takes the published ones of shared/reference/pretrained where they are
at hand), settles noise-free orbits for 2500 steps, and takes one state for each pattern of bits. For each memory:

    radius      the largest one on the ladder that is certified for 5000 steps, in spreads of the visited states; 1e-4
                where there is none
    N           certified steps at that radius (inf: held for ever), and at twice and four times the radius
    attack      the last step at which 10,000 random starts and 64 driven by gradient ascent are still all inside
    reach       radius at which 1000 random and 16 driven starts make an orbit leave within 500 steps, to a factor 1.2

The times are CPU seconds of one thread.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

import conjugacy as cj
from conjugacy.dynamics import as_map, held_certificate, horizon_curve
from conjugacy.dynamics.sampled_horizon import sampled_horizon

N_STEPS, SETTLED = 5000, 2500
PRETRAINED = [p / "shared/reference/pretrained" for p in Path(__file__).resolve().parents[1:3]]
TRAINED = {
    "GRU-16": (cj.networks.GRU, 16),
    "GRU-32": (cj.networks.GRU, 32),
    "vanilla-32": (cj.networks.VanillaRNN, 32),
    "leaky-32": (cj.networks.LeakyRNN, 32),
    "low-rank-32": (cj.networks.LowRankRNN, 32),
    "LSTM-16": (cj.networks.LSTM, 16),
}


def published(name: str):
    """Cell, readout, visited states (N, D) and bits of a GRU of the pretrained folder, driven by pulses."""
    with np.load(next(p / name for p in PRETRAINED if (p / name).exists())) as z:
        w = {k: torch.from_numpy(z[k]).double() for k in z.files}
    d, n_inputs = w["cell.weight_hh"].shape[1], w["cell.weight_ih"].shape[1]
    cell, readout = nn.GRUCell(n_inputs, d).double(), nn.Linear(d, 3).double()
    cell.load_state_dict({k.removeprefix("cell."): v for k, v in w.items() if k.startswith("cell.")})
    readout.load_state_dict({k.removeprefix("readout."): v for k, v in w.items() if k.startswith("readout.")})
    g = torch.Generator().manual_seed(0)
    u = 0.15 * torch.randn(64, 500, 3, generator=g).double()
    s = torch.rand(64, 500, 3, generator=g)
    u = u + (s < 0.01).double() - (s > 0.99).double()
    x, visited = w["latent_ics"].reshape(1, -1).expand(64, -1), []
    with torch.no_grad():
        for t in range(500):
            x = cell(u[:, t], x)
            visited.append(x)
    return cell.requires_grad_(False), readout.requires_grad_(False), torch.cat(visited), 3


def trained(name: str, seed: int = 0):
    """The same of a network trained here on the 2-bit flip-flop."""
    kind, size = TRAINED[name]
    run = cj.train(cj.tasks.NBitFlipFlop(n=2, n_timesteps=200), kind(size), seed=seed, progress=False, steps=600)
    system = run.system("test")
    return system, system.readout, system.states().double(), 2


def memories(dynamics, readout, visited, n_bits: int):
    """One settled state for each pattern of bits that orbits end in, and the patterns."""
    u = torch.zeros(1, dynamics.n_inputs).double()
    x = visited[torch.linspace(0, len(visited) - 1, 400).long()].clone()
    with torch.no_grad():
        for _ in range(SETTLED):
            x = dynamics.step(x, u.expand(len(x), -1))
        bits = (readout(x) > 0.5).long()
    code = (bits * 2 ** torch.arange(n_bits)).sum(1)
    firsts = [int((code == c).nonzero()[0, 0]) for c in code.unique().tolist()]
    return x[firsts], ["".join(map(str, b)) for b in bits[firsts].tolist()]


def attack(dynamics, readout, x, radius, n_steps, *numbers):
    """The last step at which nothing found has left."""
    with torch.no_grad():
        side = torch.sign(readout(x[None])[0] - 0.5)
    u = torch.zeros(dynamics.n_inputs).double()
    margin = lambda y: ((readout(y) - 0.5) * side).amin(-1)  # noqa: E731
    return sampled_horizon(dynamics, margin, x, u, radius, n_steps, torch.Generator().manual_seed(1), *numbers)


def table(name: str) -> list[tuple[float, float, float]]:
    """Prints the rows of one network; returns (certified, brute force, radius ratio) of each memory."""
    thing, readout, visited, n_bits = published(name) if name.endswith(".npz") else trained(name)
    dynamics, spread = as_map(thing), float(visited.var(0).sum().sqrt())
    points, labels = memories(dynamics, readout, visited, n_bits)
    found = []
    for x, label in zip(points, labels):
        start = time.process_time()
        held = held_certificate(thing, x, 0.0, readout=readout, n_steps=N_STEPS)
        seconds = time.process_time() - start
        radius, n = float(held.radius), float(held.n_steps)
        if held.method[0] == "none":
            radius = 1e-4 * spread
            held = held_certificate(thing, x, 0.0, radius, readout=readout, n_steps=N_STEPS)
            n = float(held.n_steps)
        wider = horizon_curve(thing, x, [2 * radius, 4 * radius], readout=readout, n_steps=N_STEPS)[0].tolist()
        brute = attack(dynamics, readout, x, radius, N_STEPS, 10_000)
        low, reach = max(radius, 1e-4 * spread), 2 * spread
        while reach / low > 1.2:
            middle = (low * reach) ** 0.5
            gone = attack(dynamics, readout, x, middle, 500, 1000, 16, 10) < 500
            low, reach = (low, middle) if gone else (middle, reach)
        print(
            f"{name:20s} {label} radius {radius / spread:.4f} N {n:6g} x2 {wider[0]:5g} x4 {wider[1]:5g}"
            f" attack {brute:5d} reach {reach / spread:.3f} {held.method[0]} {seconds:.1f} s",
            flush=True,
        )
        found.append((min(n, N_STEPS), brute, radius / reach))
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    names = sys.argv[1:] or [*TRAINED, "nbff.npz", "saturated_gru128.npz"]
    rows = np.array([row for name in names for row in table(name)])
    longer, half = (rows[:, 0] > rows[:, 1]).sum(), (rows[:, 0] >= rows[:, 1] / 2).mean()
    print(f"{len(rows)} memories: {longer} certified for longer than brute force, {half:.0%} at least half as long;")
    ratio = rows[:, 2]
    print(f"certified radius over the radius of the attack: median {np.median(ratio):.2f}, least {ratio.min():.2f}")
