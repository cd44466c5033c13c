"""Geometry between conditions: truths of each distance, and rsatoolbox where it is installed."""

import numpy as np
import pytest

import conjugacy as cj
from conjugacy.recordings import condition_distances, distance_agreement
from conjugacy.recordings.geometry import balanced_folds


def made(seed=0, same=False, n=40):
    rng = np.random.default_rng(seed)
    means = 4 + (0 if same else 2) * rng.uniform(-1, 1, (5, 8))
    which = np.repeat(np.arange(5), n)
    counts = rng.poisson(means[which][:, None], (5 * n, 3, 8))
    return cj.Recording.from_counts(counts, 0.1, conditions=which), means


def test_only_crossnobis_is_zero_on_average_where_conditions_are_equal():
    found = {
        d: [condition_distances(made(s, True)[0], d).mean() for s in range(30)] for d in ("crossnobis", "mahalanobis")
    }
    error = np.std(found["crossnobis"]) / np.sqrt(30)
    assert abs(np.mean(found["crossnobis"])) < 4 * error
    assert np.mean(found["mahalanobis"]) > 10 * error


def test_distances_are_those_of_the_means_and_agree_with_the_truth():
    recording, means = made(n=400)
    i, j = np.triu_indices(5, 1)
    truth = ((means[i] - means[j]) ** 2).mean(1)
    # means of 1200 bins with a variance of 4 differ by 0.08 (SD), squared distances of 4 by 0.11: four of these
    np.testing.assert_allclose(condition_distances(recording, "euclidean"), truth, atol=0.45)
    identity = condition_distances(recording, "crossnobis", precision=np.eye(8))
    # distances spread by 0.65 about their mean (SD), estimates by 0.11: a correlation of 0.986 is expected
    assert distance_agreement(identity, truth, "correlation") > 0.95
    for method in ("rho-a", "tau-a", "whitened-correlation"):
        assert distance_agreement(truth, 3 * truth, method) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda r: condition_distances(r.select(conditions=[0, 1])), "3 conditions"),
        (lambda r: condition_distances(r.smooth(0.1).sqrt(), "poisson"), "spike counts"),
        (lambda r: condition_distances(r, folds=41), "at least 41 trials"),
        (lambda r: condition_distances(r, precision=np.eye(3)), "`precision`"),
        (lambda r: distance_agreement(np.ones(10), np.arange(10.0)), "constant"),
        (lambda r: distance_agreement(np.arange(9.0), np.arange(9.0)), "all pairs"),
    ],
)
def test_what_has_no_geometry_is_said_in_one_line(call, text):
    with pytest.raises(ValueError, match=text) as caught:
        call(made()[0])
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::RuntimeWarning:rsatoolbox", "ignore:invalid value encountered in cast")  # theirs
def test_rsatoolbox_agrees():
    rsa = pytest.importorskip("rsatoolbox", reason="rsatoolbox is not installed")
    recording, _ = made()
    x, weights = recording.counts.mean(1), np.diag(np.arange(1.0, 9.0))
    fold = balanced_folds(recording.conditions, 2, 0)
    data = rsa.data.Dataset(x, obs_descriptors={"c": recording.conditions, "fold": fold})
    found = {}
    for name, options in (
        ("euclidean", {}),
        ("mahalanobis", {"noise": weights}),
        ("crossnobis", {"noise": weights, "cv_descriptor": "fold"}),
        ("poisson", {}),
    ):
        found[name] = rsa.rdm.calc_rdm(data, method=name, descriptor="c", **options)
        got = condition_distances(recording, name, precision=weights)
        np.testing.assert_allclose(got, found[name].dissimilarities[0], atol=1e-8, rtol=1e-8)
    a, b = found["euclidean"], found["poisson"]
    for method, theirs in (
        ("rho-a", "rho-a"),
        ("tau-a", "tau-a"),
        ("correlation", "corr"),
        ("whitened-correlation", "corr_cov"),
    ):
        want = rsa.rdm.compare(a, b, method=theirs)[0, 0]
        assert distance_agreement(a.dissimilarities[0], b.dissimilarities[0], method) == pytest.approx(want, abs=1e-8)
