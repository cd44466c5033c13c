"""The shape, CCA, CKA and RSA families: slow references, identities between measures, metric axioms."""

from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conjugacy import System
from conjugacy.similarity import get_measure
from conjugacy.similarity.canonical import canonical_correlations
from conjugacy.similarity.cka import rows_to_kernel
from conjugacy.similarity.covariance import Coordinates, Covariances
from conjugacy.similarity.hsic import unbiased_hsic, unbiased_linear_hsic
from conjugacy.similarity.measure import registry
from conjugacy.similarity.procrustes import nuclear_norms

# measures of paired states that need no training trials; matchings of units are compared with brute force elsewhere
OTHERS = {"state_r2", "permutation", "soft_matching"}
PAIRED = [n for n, traits in registry().items() if traits.needs == "paired trajectories" and n not in OTHERS]


def rows(x):
    x = x.reshape(-1, x.shape[2])
    return x - x.mean(0)


def test_procrustes_equals_the_distance_after_explicit_alignment(make_trajectories):
    x, y = make_trajectories(0, n_units=5), make_trajectories(1, n_units=7)
    a, b = np.pad(rows(x), ((0, 0), (0, 2))), rows(y)
    u, _, v = np.linalg.svd(b.T @ a)
    rotated = b @ (u @ v)
    distance = np.sqrt(((a - rotated) ** 2).sum(1).mean())
    assert get_measure("procrustes_euclidean")(x, y).value == pytest.approx(distance, rel=1e-12)
    cosine = (a * rotated).sum() / np.linalg.norm(a) / np.linalg.norm(b)
    assert get_measure("procrustes")(x, y).value == pytest.approx(np.arccos(cosine), rel=1e-12)


def test_bures_similarity_is_the_cosine_of_the_procrustes_angle(make_trajectories):
    x, y = make_trajectories(0), make_trajectories(1, n_units=7)
    a, b = rows(x), rows(y)
    # fidelity of the linear kernels: tr sqrt(sqrt(K) L sqrt(K)), by its own definition
    k, l_ = a @ a.T / (a**2).sum(), b @ b.T / (b**2).sum()
    values, vectors = np.linalg.eigh(k)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    fidelity = np.sqrt(np.linalg.eigvalsh(root @ l_ @ root).clip(0)).sum()
    assert get_measure("bures")(x, y).value == pytest.approx(fidelity, abs=1e-6)
    assert get_measure("bures")(x, y).value == pytest.approx(np.cos(get_measure("procrustes")(x, y).value), abs=1e-14)


def test_alpha_zero_is_cca(make_trajectories):
    x, y = make_trajectories(2), make_trajectories(3, n_units=7)
    a, b = rows(x), rows(y)
    qx, qy = np.linalg.qr(a)[0], np.linalg.qr(b)[0]
    correlations = np.linalg.svd(qx.T @ qy, compute_uv=False)  # cosines of the principal angles of the column spaces
    assert np.cos(get_measure("cca")(x, y).value) == pytest.approx(correlations.sum() / np.sqrt(5 * 7), abs=1e-12)
    c = Covariances(a.T @ a, b.T @ b, a.T @ b, len(a))
    np.testing.assert_allclose(canonical_correlations(c)[0], correlations, atol=1e-12)
    assert get_measure("svcca", variance=1.0)(x, y).value == pytest.approx(correlations.mean(), abs=1e-12)


def test_linear_cka_equals_its_kernel_form_and_rsa_of_squared_distances(make_trajectories):
    x, y = make_trajectories(4, 7), make_trajectories(5, 7, n_units=7)
    expected = get_measure("cka")(x, y).value
    k, l_ = rows(x) @ rows(x).T, rows(y) @ rows(y).T
    assert expected == pytest.approx((k * l_).sum() / np.linalg.norm(k) / np.linalg.norm(l_), rel=1e-12)
    assert get_measure("angular_cka")(x, y).value == pytest.approx(np.arccos(expected), rel=1e-12)
    rsa = get_measure("rsa", dissimilarity="sqeuclidean", comparator="centred_cosine")
    assert rsa(x, y).value == pytest.approx(expected, rel=1e-12)


def test_unbiased_hsic_equals_its_definition_over_quadruples():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 2)), rng.normal(size=(7, 3))
    k, l_ = x @ x.T, y @ y.T
    total = 0.0
    from itertools import permutations

    for i, j, q, r in permutations(range(7), 4):  # Song et al. 2012, eq. 4: E k_ij (l_ij + l_qr - 2 l_iq)
        total += k[i, j] * (l_[i, j] + l_[q, r] - 2 * l_[i, q])
    expected = total / (7 * 6 * 5 * 4)
    assert unbiased_hsic(k, l_) == pytest.approx(expected, rel=1e-12)
    assert unbiased_linear_hsic(x + 4, y - 3) == pytest.approx(expected, rel=1e-10)


def test_biased_cka_is_high_for_unrelated_wide_data_and_the_unbiased_one_is_not():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(4, 15, 200)), rng.normal(size=(4, 15, 200))
    assert get_measure("cka")(x, y).value > 0.7
    assert abs(get_measure("cka_unbiased")(x, y).value) < 0.1


def test_rbf_kernel_has_the_median_width():
    x = np.array([[0.0], [1.0], [3.0]])
    kernel = rows_to_kernel(x, 1.0)  # distances 1, 2, 3: median 2
    np.testing.assert_allclose(kernel[0], [1, np.exp(-1 / 8), np.exp(-9 / 8)], rtol=1e-12)


@pytest.mark.parametrize("comparator", ["pearson", "spearman", "kendall", "cosine"])
def test_rsa_equals_scipy(make_trajectories, comparator):
    from scipy import stats
    from scipy.spatial.distance import pdist

    x, y = make_trajectories(6, 5), make_trajectories(7, 5, n_units=3)
    a, b = pdist(x.reshape(-1, 5), "correlation"), pdist(y.reshape(-1, 3), "correlation")
    reference = {
        "pearson": lambda: stats.pearsonr(a, b)[0],
        "spearman": lambda: stats.spearmanr(a, b)[0],
        "kendall": lambda: stats.kendalltau(a, b)[0],
        "cosine": lambda: a @ b / np.linalg.norm(a) / np.linalg.norm(b),
    }[comparator]()
    measure = get_measure("rsa", dissimilarity="correlation", comparator=comparator)
    assert measure(x, y).value == pytest.approx(reference, rel=1e-10)


@pytest.mark.parametrize("name", PAIRED)
def test_batched_pairs_equal_single_ones(make_trajectories, name):
    measure = get_measure(name)
    x = [make_trajectories(s, n_units=n) for s, n in ((0, 5), (1, 7), (2, 3), (0, 5))]
    features = [measure.prepare(System.from_arrays(str(i), v)) for i, v in enumerate(x)]
    pairs = [(i, j) for i in range(4) for j in range(4)]
    for (i, j), (value, _) in zip(pairs, measure.compare_many(features, features, pairs)):
        assert value == pytest.approx(measure(x[i], x[j]).value, abs=1e-9)


@pytest.mark.parametrize("name", PAIRED)
def test_resampled_values_equal_those_of_repeated_trials(make_trajectories, name):
    if name == "rsa":
        pytest.skip("pairs of copies of one state are left out by design")
    measure = get_measure(name)
    x, y = make_trajectories(0, 9), make_trajectories(1, 9, n_units=7)
    counts = np.array([[2, 0, 1, 1, 0, 3, 1, 1, 0]])
    chosen = np.repeat(np.arange(9), counts[0])
    features = [measure.prepare(System.from_arrays("s", v)) for v in (x, y)]
    fast = measure.compare_resampled(*features, counts, counts)[0]
    # RBF widths and kept components are those of the whole data in a bootstrap
    tolerance = 0.05 if name in ("cka_rbf", "svcca") else 1e-9
    assert fast == pytest.approx(measure(x[chosen], y[chosen]).value, abs=tolerance)


@pytest.mark.parametrize("name", PAIRED)
def test_more_units_than_samples(make_trajectories, name):
    rng = np.random.default_rng(3)
    x = make_trajectories(0, 3, 5, 40)
    q = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    measure = get_measure(name)
    if "rotation" in measure.traits.invariances:
        few = (
            pytest.warns(UserWarning, match="correlations are 1 by algebra")
            if name in ("cca", "pwcca")
            else nullcontext()
        )
        with few:
            assert measure(x, x @ q).value == pytest.approx(measure.traits.perfect, abs=1e-6)


def test_distances_of_near_copies_keep_their_digits(make_trajectories):
    x = make_trajectories(8)
    y = x.copy()
    y[0, 0, 0] += 1e-9
    expected = 1e-9 * np.sqrt((1 - 1 / 437) / 437)  # one entry of 437 centred rows
    assert get_measure("procrustes_euclidean")(x, y).value == pytest.approx(expected, rel=1e-3)
    assert 0 < get_measure("procrustes")(x, y).value < 1e-10


METRICS = ("procrustes", "procrustes_euclidean", "shape_0.5", "cca", "angular_cka")


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    sizes=st.tuples(*[st.integers(1, 6)] * 3),
    mix=st.floats(0, 1),
    name=st.sampled_from(METRICS),
)
def test_metric_axioms(seed, sizes, mix, name):
    rng = np.random.default_rng(seed)
    x = [rng.normal(size=(3, 11, n)) for n in sizes]
    x[1] = x[1] + mix * x[0][..., :1]  # related systems too
    measure = get_measure(name)
    d = np.array([[measure(a, b).value for b in x] for a in x])
    assert np.allclose(np.diag(d), 0, atol=1e-7)
    np.testing.assert_allclose(d, d.T, atol=1e-9)
    assert (d[:, :, None] <= d[:, None, :] + d.T[None] + 1e-9).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 9), m=st.integers(1, 9), scale=st.integers(0, 8))
def test_nuclear_norms_equal_the_sum_of_singular_values(seed, n, m, scale):
    rng = np.random.default_rng(seed)
    c = rng.normal(size=(n, m)) * 10.0 ** -np.linspace(0, scale, m)
    assert nuclear_norms(c[None])[0] == pytest.approx(np.linalg.svd(c, compute_uv=False).sum(), rel=1e-8)


@pytest.mark.parametrize("name", PAIRED)
def test_inputs_are_checked_and_left_alone(make_trajectories, name):
    measure = get_measure(name)
    x = make_trajectories(0).astype(np.float32)
    before = x.copy()
    assert measure(x, x).value == pytest.approx(measure.traits.perfect, abs=1e-6)
    assert np.array_equal(x, before)
    with pytest.raises(ValueError, match="`trajectories` of 'b': all 437 states are the same"):
        measure(x, np.full_like(x, 0.1))
    with pytest.raises(ValueError, match=f"`b`: '{name}' compares trial by trial"):
        measure(x, x[:, :-1])
    with pytest.raises(ValueError, match="`a`: expected finite values"):
        measure(np.where(x > 1, np.nan, x), x)


def test_coordinates_drop_directions_without_variance(make_trajectories):
    x = make_trajectories(0)
    doubled = System.from_arrays("x", np.concatenate([x, x], 2))
    assert len(Coordinates.of(doubled, "cca").sd) == 5
    assert get_measure("cca")(x, np.concatenate([x, x], 2)).value == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("procrustes", {"alpha": 2}, r"`alpha`: expected a number in \[0, 1\], got 2"),
        ("procrustes", {"score": "angle"}, "`score`: expected one of .* Did you mean 'angular'"),
        ("svcca", {"variance": 0}, "`variance`: expected a number"),
        ("cka_rbf", {"bandwidth": -1.0}, "`bandwidth`: expected a number"),
        ("rsa", {"dissimilarity": "euclid"}, "`dissimilarity`: .* Did you mean 'euclidean'"),
        ("rsa", {"comparator": "rho"}, "`comparator`: expected one of"),
    ],
)
def test_bad_parameters_are_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        get_measure(name, **options)


def test_svcca_of_a_number_of_components_is_the_mean_correlation_of_their_scores():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 10, 6)) * np.arange(1, 7)
    y = x @ rng.normal(size=(6, 6)) + rng.normal(size=x.shape)
    scores = []
    for z in (x, y):
        rows = z.reshape(-1, 6) - z.reshape(-1, 6).mean(0)
        u, _, _ = np.linalg.svd(rows, full_matrices=False)
        scores.append(u[:, :3])
    expected = np.linalg.svd(scores[0].T @ scores[1], compute_uv=False).mean()
    assert get_measure("svcca", n_components=3)(x, y).value == pytest.approx(expected, abs=1e-10)
    with pytest.raises(ValueError, match="`n_components`"):
        get_measure("svcca", n_components=0)
