"""Variants of measures that users of other packages know, against what defines them."""

import numpy as np
import pytest

from conjugacy.similarity import get_measure


def _pair(seed=0):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(6, 20, 4))
    return (shared @ rng.normal(size=(4, n)) + 0.5 * rng.normal(size=(6, 20, n)) for n in (7, 9))


def test_svcca_of_fixed_components_is_the_mean_canonical_correlation_of_those():
    a, b = _pair()
    bases = []
    for x in (a, b):
        rows = x.reshape(-1, x.shape[2])
        bases.append(np.linalg.svd(rows - rows.mean(0), full_matrices=False)[0][:, :3])
    expected = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False).mean()
    score = get_measure("svcca", n_components=3)(a, b)
    assert score.value == pytest.approx(expected, abs=1e-10)
    assert score.diagnostics["rank_a"] == score.diagnostics["rank_b"] == 3
    assert get_measure("svcca", n_components=50)(a, b).diagnostics["rank_a"] == 7
    with pytest.raises(ValueError, match="n_components"):
        get_measure("svcca", n_components=0)


@pytest.mark.parametrize("unit", ["median", "data"])
@pytest.mark.parametrize("kernel", ["rbf", "laplace"])
def test_kernels_are_what_their_formulas_say(kernel, unit):
    a, b = _pair()
    centre = np.eye(120) - 1 / 120
    kernels = []
    for x in (a, b):
        rows = x.reshape(-1, x.shape[2])
        d = np.linalg.norm(rows[:, None] - rows, axis=2)
        s = 3.0 * (np.median(d[np.triu_indices(120, 1)]) if unit == "median" else 1.0)
        kernels.append(centre @ np.exp(-(d**2) / (2 * s**2) if kernel == "rbf" else -d / s) @ centre)
    one, two = kernels
    expected = (one * two).sum() / np.sqrt((one**2).sum() * (two**2).sum())
    measure = get_measure("cka_rbf", kernel=kernel, unit=unit, bandwidth=3.0)
    assert measure(a, b).value == pytest.approx(expected, abs=1e-10)
    assert measure.name == f"cka_{kernel}"
    # scale matters where the width is given in the units of the data, and nowhere else
    assert ("scaling" in measure.traits.invariances) == (unit == "median")
    assert (abs(measure(a, 5 * b).value - expected) < 1e-9) == (unit == "median")


def test_names_of_kernels_that_there_are_not_are_refused():
    for parameter in ("kernel", "unit"):
        with pytest.raises(ValueError, match=f"`{parameter}`"):
            get_measure("cka_rbf", **{parameter: "cosine"})
