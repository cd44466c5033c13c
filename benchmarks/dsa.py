"""DSA against the PyPI package `dsa-metric` in one run: speed per pair, who finds the better optimum, agreement.

    python benchmarks/dsa.py [--random 200] [--real 50] [--ranks 6 10 30] [--lorenz 100] [--json out.json]

Both run on one thread, pair by pair, except for the last line (all pairs of `--lorenz` operators of size 6, all cores).
The optima of the peer are evaluated here in float64. The real pairs are operators fitted to three networks trained by
others (`--weights`, a folder with nbff.npz, multitask.npz, randomtarget.npz); without it they are skipped.
"""

import argparse
import json
import platform
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from table import row
from threadpoolctl import threadpool_limits

from conjugacy.similarity.alignment import Operator, align
from conjugacy.similarity.dmd import dmd
from conjugacy.similarity.dsa import pairwise_angles
from conjugacy.similarity.spectrum import wasserstein


def gru_trajectories(weights, seed, n_trials=40, n_steps=150):
    """Latents of a trained GRU under sparse random pulses, (trial, time, unit)."""
    cell = torch.nn.GRUCell(weights["cell.weight_ih"].shape[1], weights["cell.weight_hh"].shape[1])
    cell.load_state_dict({k[5:]: torch.as_tensor(v) for k, v in weights.items() if k.startswith("cell.")})
    rng = np.random.default_rng(seed)
    n_inputs = cell.input_size
    u = (rng.random((n_steps, n_trials, n_inputs)) < 0.05) * rng.choice([-1.0, 1.0], (n_steps, n_trials, n_inputs))
    u = torch.as_tensor(u + 0.1 * rng.normal(size=u.shape), dtype=torch.float32)
    h = torch.as_tensor(weights["latent_ics"]).float().reshape(1, -1).expand(n_trials, -1)
    states = []
    with torch.no_grad():
        for step in u:
            h = cell(step, h)
            states.append(h)
    return torch.stack(states, 1).double().numpy()


def real_pairs(folder, ranks, n_pairs):
    files = [Path(folder) / f"{name}.npz" for name in ("nbff", "multitask", "randomtarget")]
    if not all(f.exists() for f in files):
        return {}
    data = [(f.stem, gru_trajectories(dict(np.load(f)), seed)) for f in files for seed in (0, 1)]
    pairs = {}
    for k, rank in enumerate(ranks):
        operators = [dmd(x, rank, d, center=False).operator for _, x in data for d in (2, 5)]
        chosen = [(i, j) for i in range(len(operators)) for j in range(i)]
        order = np.random.default_rng(k).permutation(len(chosen))
        count = n_pairs // len(ranks) + (k < n_pairs % len(ranks))
        pairs[rank] = [tuple(operators[i] for i in chosen[o]) for o in order[:count]]
    return pairs


def random_pairs(ranks, n_pairs, seed):
    rng = np.random.default_rng(seed)
    counts = {r: n_pairs // len(ranks) + (k < n_pairs % len(ranks)) for k, r in enumerate(ranks)}
    return {r: [tuple(rng.normal(size=(2, r, r))) for _ in range(n)] for r, n in counts.items()}


def peer_angle(peer, a, b, seed):
    torch.manual_seed(seed)
    a32, b32 = (torch.tensor(m / np.linalg.norm(m), dtype=torch.float32) for m in (a, b))
    start = time.perf_counter()
    distance = peer.SimilarityTransformDist(iters=1500, lr=5e-3, score_method="angular")
    distance.fit(a32, b32)
    seconds = time.perf_counter() - start
    u, _, v = np.linalg.svd(distance.C_star.double().numpy())
    c = u @ v  # to float64 rounding orthogonal
    chord = np.linalg.norm(a / np.linalg.norm(a) - c @ (b / np.linalg.norm(b)) @ c.T)
    return 2 * np.arcsin(min(chord / 2, 1)), seconds


def our_angle(a, b):
    start = time.perf_counter()
    found = align(Operator.of(a), Operator.of(b))
    return found.angle, time.perf_counter() - start


def compare(peer, kind, pairs, results):
    for rank, operators in pairs.items():
        ours, theirs = [], []
        for seed, (a, b) in enumerate(operators):
            ours.append(our_angle(a, b))
            theirs.append(peer_angle(peer, a, b, seed))
        (x, tx), (y, ty) = np.array(ours).T, np.array(theirs).T
        ratio = np.median(ty) / np.median(tx)
        worse = int((x > y + 1e-6).sum())
        results[f"{kind}_{rank}"] = {
            "pairs": len(x), "ms_ours": 1e3 * np.median(tx), "ms_peer": 1e3 * np.median(ty), "ratio": ratio,
            "ratio_total": ty.sum() / tx.sum(), "worse": worse, "largest_loss": float((x - y).max()),
            "median_gain": float(np.median(y - x)),
        }  # fmt: skip
        print(
            f"{kind:6} rank {rank:3}: {len(x):3} pairs, {1e3 * np.median(tx):8.2f} ms against "
            f"{1e3 * np.median(ty):8.1f} ms: {ratio:6.0f} times faster (total {ty.sum() / tx.sum():.0f} times); "
            f"worse optimum in {worse} pairs "
            f"(largest loss {max((x - y).max(), 0):.1e} rad), better by {np.median(y - x):.4f} rad in the median",
            flush=True,
        )


def agreement(peer, results):
    """Eigenvalues and W2^2 on the same data, the peer in its float32."""
    rng = np.random.default_rng(0)
    worst_eig = worst_w = 0.0
    for _ in range(5):
        rotation = np.linalg.qr(rng.normal(size=(8, 8)))[0] * 0.97
        x = [rng.normal(size=(30, 8))]
        for _ in range(79):
            x.append(np.tanh(1.1 * x[-1] @ rotation) + 0.1 * rng.normal(size=(30, 8)))
        x = np.stack(x, 1)
        values = []
        for data in (x[:15], x[15:]):
            theirs = peer.DMD(torch.tensor(data), n_delays=2, rank=10, lamb=0)
            theirs.fit()
            values.append((np.linalg.eigvals(theirs.A_v.double().numpy()), dmd(data, 10, 2, center=False).eigenvalues))
        worst_eig = max(worst_eig, *(wasserstein(*pair) for pair in values))
        distance = peer.SimilarityTransformDist(score_method="wasserstein")
        theirs = float(distance.fit_score(*(torch.tensor(v[0]) for v in values)))
        worst_w = max(worst_w, abs(theirs - wasserstein(values[0][1], values[1][1]) ** 2))
    results["agreement"] = {"eigenvalues": worst_eig, "w2_squared": worst_w}
    print(f"eigenvalues differ by at most {worst_eig:.1e} (W2), W2^2 by at most {worst_w:.1e} (the peer's are float32)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--random", type=int, default=200, help="random pairs, over all ranks")
    parser.add_argument("--real", type=int, default=50, help="pairs of operators fitted to trained networks")
    parser.add_argument("--ranks", type=int, nargs="+", default=[6, 10, 30])
    parser.add_argument("--lorenz", type=int, default=100, help="number of 6 x 6 operators, all with all")
    default = Path(__file__).resolve().parents[1].parent / "shared" / "reference" / "pretrained"
    parser.add_argument("--weights", default=default)
    parser.add_argument("--seed", type=int, default=0, help="of the random pairs; 0 is what the search was tuned on")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = {"machine": platform.machine(), "python": platform.python_version()}
    rng = np.random.default_rng(1)
    our_angle(*rng.normal(size=(2, 5, 5)))  # compile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import DSA as peer
    except ImportError:
        print("dsa-metric is not installed: pip install dsa-metric")
        peer = None
    if peer is not None:
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            agreement(peer, results)
            compare(peer, "random", random_pairs(options.ranks, options.random, options.seed), results)
            real = real_pairs(options.weights, options.ranks, options.real)
            compare(peer, "real", real, results)
            if not real:
                print(f"no trained networks in {options.weights}: real pairs skipped")

    operators = rng.normal(size=(options.lorenz, 6, 6))
    start = time.perf_counter()
    pairwise_angles(operators)
    seconds = time.perf_counter() - start
    n_pairs = options.lorenz * (options.lorenz - 1) // 2
    results["all_pairs_6"] = {"pairs": n_pairs, "seconds": seconds}
    print(f"{n_pairs} pairs of random 6 x 6 operators on all cores: {seconds:.1f} s")
    results["table"] = [
        row(f"DSA of a pair, {kind} operators", "dsa-metric", 1e-3 * r["ms_peer"], 1e-3 * r["ms_ours"])
        for kind, r in results.items()
        if isinstance(r, dict) and "ms_peer" in r
    ] or [row("DSA of a pair", "dsa-metric (not installed)", None, None)]
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
