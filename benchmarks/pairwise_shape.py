"""All-pairs Procrustes and linear CKA against the loop over pairs with full decompositions, in one run.

    python benchmarks/pairwise_shape.py [--systems 30] [--samples 400] [--units 64] [--repeats 7] [--threads 1]

The loop does for every pair what is usually done: centre both, product, full singular value decomposition with its
vectors, rotate and take the distance; for CKA the two kernel matrices and their products. The loop runs
with BLAS on one thread, which is its fastest way for matrices of this size; ours uses all cores, and includes the
preparation of every system.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from table import row
from threadpoolctl import threadpool_limits

from conjugacy import System
from conjugacy.similarity import get_measure, pairwise


def loop_procrustes(data):
    m = len(data)
    d = np.zeros((m, m))
    for i in range(m):
        for j in range(i):
            x, y = data[i] - data[i].mean(0), data[j] - data[j].mean(0)
            u, _, vt = np.linalg.svd(y.T @ x)
            rotated = y @ (u @ vt)
            cosine = (x * rotated).sum() / np.linalg.norm(x) / np.linalg.norm(y)
            d[i, j] = d[j, i] = np.arccos(np.clip(cosine, -1, 1))
    return d


def loop_cka(data):
    m = len(data)
    d = np.eye(m)
    for i in range(m):
        for j in range(i):
            x, y = data[i] - data[i].mean(0), data[j] - data[j].mean(0)
            k, q = x @ x.T, y @ y.T
            d[i, j] = d[j, i] = (k * q).sum() / np.linalg.norm(k) / np.linalg.norm(q)
    return d


def paired_times(loop, ours, repeats):
    """Median seconds of both and median of their ratios, in turn: a busy machine slows both alike."""
    slow, fast = [], []
    for _ in range(repeats):
        with threadpool_limits(1):
            start = time.perf_counter()
            expected = loop()
            slow.append(time.perf_counter() - start)
        start = time.perf_counter()
        got = ours()
        fast.append(time.perf_counter() - start)
    ratio = np.median(np.divide(slow, fast))
    return float(np.median(slow)), float(np.median(fast)), float(ratio), expected, got


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", type=int, default=30)
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, help="of pairwise; default: all cores")
    parser.add_argument("--json", type=Path)
    o = parser.parse_args()
    results = {}
    rng = np.random.default_rng(0)
    for kind in ("flat", "graded"):
        # graded: variances fall over four decades, as in trained networks
        scale = np.ones(o.units) if kind == "flat" else np.logspace(0, -2, o.units)
        shared = rng.normal(size=(o.samples, o.units))
        data = [(shared + rng.normal(size=shared.shape)) * scale @ np.linalg.qr(rng.normal(size=(o.units,) * 2))[0]
                for _ in range(o.systems)]  # fmt: skip
        systems = [System.from_arrays(str(i), x.reshape(4, -1, o.units)) for i, x in enumerate(data)]
        for name, loop in (("procrustes", loop_procrustes), ("cka", loop_cka)):
            measure = get_measure(name)
            pairwise(systems[:2], measure, progress=False)
            slow, fast, ratio, expected, got = paired_times(
                lambda loop=loop, data=data: loop(data),
                lambda s=systems, m=measure: pairwise(s, m, progress=False, n_threads=o.threads),
                o.repeats,
            )
            error = float(np.abs(got.values[name] - expected).max())
            results[f"{name}_{kind}"] = {"loop_s": slow, "ours_s": fast, "ratio": ratio, "difference": error}
            print(
                f"{name:10} {kind:6} spectra, {o.systems} systems, m = {o.samples}, n = {o.units}: loop {slow:.3f} s, "
                f"pairwise {fast:.3f} s: {ratio:.1f} times faster, largest difference {error:.1e}"
            )
    results["table"] = [
        row(
            f"all pairs of {o.systems} systems, {name.replace('_', ', ')} spectra",
            "loop over pairs",
            r["loop_s"],
            r["ours_s"],
        )
        for name, r in results.items()
    ]
    if o.json:
        o.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
