"""Times of intervals and nulls beside those of the paths they replaced, in one run on one thread.

    python benchmarks/intervals_and_nulls.py [--json out.json]

- `dsa`, rank 10, 10 delays, 100 trials of 200 steps, 20 units: 100 surrogates of both kinds. Before: features of
  surrogates were made as for resampling, and both kinds ran to their own ends. The p-values of both must agree.
- `rsa` and `cka_unbiased`, 1200 states of 30 trials: 200 resamples and a whole interval. Before: each resample compared
  anew, as `Measure.compare_resampled` does (of 20 resamples, times ten).
"""

import argparse
import json
import platform
import time
import warnings
from pathlib import Path

import numpy as np

from conjugacy._threads import one_blas_thread
from conjugacy.similarity import get_measure, kinship
from conjugacy.similarity.matched_systems import Autoregression
from conjugacy.similarity.measure import Measure
from conjugacy.similarity.resampling import Resampling
from conjugacy.similarity.samples import as_system


def linear_records(seed, n_units=20, n_trials=100, n_steps=200):
    """Trials of a random linear system driven by white noise."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n_units, n_units))
    a *= 0.9 / np.abs(np.linalg.eigvals(a)).max()
    x, state = np.zeros((n_trials, n_steps, n_units)), np.zeros((n_trials, n_units))
    for t in range(n_steps):
        state = state @ a.T + rng.normal(size=state.shape)
        x[:, t] = state
    return as_system(f"system {seed}", x)


def former_null(measure, a, b, value, n_surrogates, seed):
    """The p-value of the former path."""
    p_values = []
    for k, kind in enumerate(kinship.KINDS):
        models = [Autoregression.fitted(s, kind, measure.least_units) for s in (a, b)]
        rng, of_a, values = np.random.default_rng([seed, 1, k]), measure.prepare(a), []
        while len(values) < n_surrogates:
            for g in rng.spawn(min(20, n_surrogates - len(values))):
                left = of_a if kind == "spectrum" else measure.prepare(models[0].unrelated(kind, g))
                values.append(measure.compare(left, measure.prepare(models[1].unrelated(kind, g)))[0])
            reached = np.flatnonzero(np.cumsum(kinship.similar(measure, np.array(values), value)) >= kinship.ENOUGH)
            if len(reached):
                values = values[: reached[0] + 1]
                break
        p_values.append(kinship.p_value(measure, np.array(values), value, n_surrogates))
        if p_values[-1] > 0.5:
            break
    return max(p_values)


def timed(do):
    """What `do` returns, and the seconds of processor time it took."""
    start = time.process_time()
    return do(), time.process_time() - start


def dsa_row():
    a, b = linear_records(0), linear_records(1)
    measure = get_measure("dsa", rank=10)
    features = measure.prepare(a), measure.prepare(b)
    value = measure.compare(*features)[0]
    kinship.kinship_null(measure, a, b, value, 1, 5)  # compiles
    null, now = timed(lambda: kinship.kinship_null(measure, a, b, value, 100, 0))
    p, before = timed(lambda: former_null(measure, a, b, value, 100, 0))
    assert abs(p - null.p_value) < 1e-12
    _, interval = timed(lambda: measure.interval(*features, value, Resampling(0.95, 200)))
    return {"null_s": now, "null_before_s": before, "p": p, "interval_s": interval}


def paired_row(name, **settings):
    rng = np.random.default_rng(2)
    shared = rng.normal(size=(30, 40, 6)).cumsum(1)
    a, b = (as_system(s, shared @ rng.normal(size=(6, 12)) + rng.normal(size=(30, 40, 12))) for s in "ab")
    measure = get_measure(name, **settings)
    features = measure.prepare(a), measure.prepare(b)
    value = measure.compare(*features)[0]
    counts = rng.multinomial(30, np.full(30, 1 / 30), size=200)
    _, now = timed(lambda: measure.compare_resampled(*features, counts, counts))
    _, interval = timed(lambda: measure.interval(*features, value, Resampling(0.95, 200)))
    before = float("nan")
    if type(measure).resample is not Measure.resample:
        _, some = timed(lambda: Measure.compare_resampled(measure, *features, counts[:20], counts[:20]))
        before = 10 * some
    return {"resamples_s": now, "resamples_before_s": before, "interval_s": interval}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    with one_blas_thread():
        found = {
            "dsa": dsa_row(),
            "rsa": paired_row("rsa", max_samples=1200),
            "cka_unbiased": paired_row("cka_unbiased"),
            # the same estimate from kernel matrices, as unbiased CKA was made
            "cka_kernel_unbiased": paired_row("cka_rbf", bandwidth=None, unbiased=True, max_samples=1200),
        }
    for name, row in found.items():
        print(name, "; ".join(f"{key} {value:.3g}" for key, value in row.items()))
    if chosen.json:
        chosen.json.write_text(json.dumps({"machine": platform.processor(), **found}, indent=1))


if __name__ == "__main__":
    main()
