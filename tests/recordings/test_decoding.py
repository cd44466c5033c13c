"""Decoding: regressions that know their held-out trials, and angles by Bayes' rule."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

import conjugacy as cj
from conjugacy.recordings import Signal, decode, decode_angle, tuning_curves

DATA = Path(os.environ.get("CONJUGACY_RECORDINGS", Path(__file__).parents[2] / "shared/reference/recordings"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder of recordings is not here")


def made(n=24, t=30, d=12, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    latent = np.cumsum(rng.normal(size=(n, t, 2)), 1) / 5
    x = np.abs(latent @ rng.normal(size=(2, d)) + noise * rng.normal(size=(n, t, d)) + 20)
    return x, latent


def network(x, name="net", dt=None):
    return cj.System(name, torch.from_numpy(x), None, torch.full((len(x),), x.shape[1]), dt=dt)


def test_held_out_predictions_are_those_of_scikit_learn():
    x, y = made()
    system = network(x)
    for method, theirs in (("ridge", lambda k: Ridge(0.1 * k)), ("pls", lambda k: PLSRegression(2))):
        got = decode(system, y, folds=4, method=method, grid=[0.1 if method == "ridge" else 2])
        for k in range(4):
            train = got.folds != k
            a, b = x[train].reshape(-1, 12), y[train].reshape(-1, 2)
            scale = StandardScaler().fit(a)
            model = theirs(len(a)).fit(scale.transform(a), b)
            want = model.predict(scale.transform(x[~train].reshape(-1, 12)))
            np.testing.assert_allclose(got.predictions[~train].reshape(-1, 2), want, atol=1e-8)
        assert (got.r2 > 0.8).all()


def test_a_recording_and_a_system_of_the_same_activity_decode_alike_at_the_lag_that_is_there():
    x, y = made()
    late = np.roll(y, 3, axis=1)
    recording = cj.Recording.from_rates(x, 0.01, behaviour={"hand": late})
    one, other = (
        decode(recording, "hand", lag=0.03),
        decode(network(x, dt=0.01), late, lag=0.03),
    )
    np.testing.assert_allclose(one.r2, other.r2, atol=1e-6)
    assert (one.r2 > decode(recording, "hand").r2).all()


def test_noise_decodes_nothing_and_reduced_rank_keeps_one_dimension():
    rng = np.random.default_rng(1)
    x, y = made()
    assert (decode(network(rng.normal(size=x.shape), "noise"), y).r2 < 0.05).all()
    found = decode(network(x), y, method="reduced-rank", folds=4)
    fold = found.predictions[found.folds == 0].reshape(-1, 2)
    assert np.linalg.matrix_rank(fold - fold.mean(0), tol=1e-8) == 1


def test_a_condition_is_predicted_from_the_others_only():
    x, y = made()
    which = np.repeat(np.arange(4), 6)
    recording = cj.Recording.from_rates(x, 0.01, behaviour={"hand": y}, conditions=which)
    found = decode(recording, "hand", folds="conditions")
    np.testing.assert_array_equal(found.folds, which)
    changed = y.copy()
    changed[which == 2] += 1000
    again = decode(
        cj.Recording.from_rates(x, 0.01, behaviour={"hand": changed}, conditions=which), "hand", folds="conditions"
    )
    np.testing.assert_allclose(again.predictions[which == 2], found.predictions[which == 2], atol=1e-8)


def test_angles_are_decoded_from_tuned_units_and_not_from_others():
    rng = np.random.default_rng(0)
    angle = np.mod(np.cumsum(rng.normal(0, 0.3, 3000)), 2 * np.pi)
    preferred = np.arange(10) * 2 * np.pi / 10
    rates = 6 * np.exp(4 * (np.cos(angle[:, None] - preferred) - 1))
    behaviour = {"head": Signal.of("head", angle[None], dt=0.1, start=0.05, circular=True)}
    tuned = cj.Recording.from_counts(rng.poisson(rates)[None], 0.1, behaviour=behaviour)
    curves = tuning_curves(tuned, "head")
    assert np.abs(np.angle(np.exp(1j * (curves.preferred - preferred)))).max() < 0.1
    # mean vector of a von Mises curve of concentration 4
    np.testing.assert_allclose(curves.vector_lengths, 0.8635, atol=0.02)
    assert decode_angle(tuned, "head").error < np.radians(10)
    noise = cj.Recording.from_counts(rng.poisson(np.full((1, 3000, 10), 2.0)), 0.1, behaviour=behaviour)
    assert decode_angle(noise, "head", prior="flat").error > np.radians(60)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda r: decode(r, "foot"), "foot"),
        (lambda r: decode(r, "hand", folds="conditions"), "no conditions"),
        (lambda r: decode(r, "hand", folds=25), "at least 25 trials"),
        (lambda r: decode(r, "still"), "constant"),
        (lambda r: decode(r, np.zeros((3, 30, 1))), "trials and steps"),
        (lambda r: decode(r, "hand", method="reduced-rank", rank=3), "`rank`"),
        (lambda r: decode_angle(r, "hand"), "expected spike counts"),
        (lambda r: tuning_curves(r, "hand"), "circular"),
    ],
)
def test_what_cannot_be_decoded_is_said_in_one_line(call, text):
    x, y = made()
    recording = cj.Recording.from_rates(x, 0.01, behaviour={"hand": y, "still": np.ones((24, 30))})
    with pytest.raises(ValueError, match=text) as caught:
        call(recording)
    assert "\n" not in str(caught.value)


@needs_data
def test_head_direction_cells_tell_the_angle_and_ca1_does_not():
    with np.load(DATA / "a2929_head_direction.npz") as file:
        counts, angle, region = file["counts"], file["angle"].astype(float), file["region"]
    errors = {}
    for name in ("adn", "ca1"):
        signal = Signal.of("head", angle[None], dt=0.1, start=0.05, circular=True)
        one = cj.Recording.from_counts(counts[None][..., region == name], 0.1, behaviour={"head": signal})
        errors[name] = decode_angle(one, "head"), decode_angle(one, "head", prior="flat")
        if name == "adn":
            found = tuning_curves(one, "head").vector_lengths
            np.testing.assert_allclose(found, [0.91, 0.94, 0.81, 0.48, 0.81, 0.79, 0.87], atol=0.03)
        shifted = decode_angle(one, "head", prior="flat", n_shifts=19)
        assert (shifted.p_value == 0.05) == (name == "adn") and shifted.shifted_errors.shape == (19,)
    assert abs(np.degrees(errors["adn"][0].error) - 8.3) < 1
    assert np.degrees(errors["ca1"][1].error) > 75


@needs_data
def test_a_direction_left_out_is_decoded_from_m1_as_the_reference_says():
    with np.load(DATA / "hatsopoulos2007_M1_center_out.npz") as file:
        behaviour = {k: file[k] for k in ("xhandspeed", "yhandspeed", "shoulderangle", "elbowangle")}
        rates = np.maximum(file["firing_rate"].transpose(2, 1, 0), 0)
    m1 = cj.Recording.from_rates(
        rates, 0.01, start=-0.8, conditions=np.arange(8), behaviour=behaviour, smoothed_before=0.025
    )
    r2 = [decode(m1, name, lag=0.1, folds="conditions").r2[0] for name in behaviour]
    np.testing.assert_allclose(r2, [0.84, 0.89, 0.83, 0.79], atol=0.03)
