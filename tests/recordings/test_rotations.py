"""jPCA: rotations that are there are found exactly, and chance is told from them."""

import os
from pathlib import Path

import numpy as np
import pytest

import conjugacy as cj
from conjugacy.recordings import find_rotations
from conjugacy.recordings.rotations import skew_fit

DATA = Path(os.environ.get("CONJUGACY_RECORDINGS", Path(__file__).parents[2] / "shared/reference/recordings"))
FREQUENCIES = np.array([2.5, 1.0])  # Hz


def rotating(n_conditions=8, n_units=20, noise=0.0, seed=0):
    """Averages on two circles in orthogonal planes."""
    rng = np.random.default_rng(seed)
    t, phases = np.arange(30) * 0.01, rng.uniform(0, 2 * np.pi, (n_conditions, 2))
    sizes = rng.uniform(1, 2, (n_conditions, 2))
    angles = 2 * np.pi * t[:, None] * FREQUENCIES + phases[:, None]
    circles = np.stack([np.cos(angles), np.sin(angles)], -1) * sizes[:, None, :, None]
    axes = np.linalg.qr(rng.normal(size=(n_units, 4)))[0]
    x = circles.reshape(n_conditions, 30, 4) @ axes.T + noise * rng.normal(size=(n_conditions, 30, n_units))
    return cj.Recording.from_calcium(x, 0.01, conditions=range(n_conditions))


def test_rotations_at_known_frequencies_are_found_to_the_last_digits():
    found = find_rotations(rotating(), 4, n_shuffles=19)
    np.testing.assert_allclose(found.frequencies, FREQUENCIES, atol=1e-8)
    assert found.r2 == pytest.approx(1, abs=1e-8) and found.r2_held_out == pytest.approx(1, abs=1e-8)
    assert found.answer == "rotations" and found.p_value == pytest.approx(1 / 20)
    np.testing.assert_allclose(found.matrix, -found.matrix.T, atol=1e-12)
    # in its plane every condition keeps its distance from the centre
    radius = np.linalg.norm(found.projections - found.projections.mean((0, 1)), axis=-1)
    assert radius.min() > 0
    for plane in found.planes:
        np.testing.assert_allclose(plane.T @ plane, np.eye(2), atol=1e-10)
    forward = find_rotations(rotating(), 4, scheme="forward", n_shuffles=19)
    sines = np.sin(2 * np.pi * FREQUENCIES * 0.01) / (2 * np.pi * 0.01)
    np.testing.assert_allclose(forward.frequencies, sines, rtol=1e-3)


def test_the_closed_form_is_the_least_squares_fit_over_skew_matrices():
    rng = np.random.default_rng(1)
    states, steps = rng.normal(size=(2, 50, 5))
    pairs = [(i, j) for i in range(5) for j in range(i)]
    basis = np.zeros((len(pairs), 5, 5))
    for k, (i, j) in enumerate(pairs):
        basis[k, i, j], basis[k, j, i] = 1, -1
    design = np.stack([(states @ b).ravel() for b in basis], 1)
    slow = np.tensordot(np.linalg.lstsq(design, steps.ravel(), rcond=None)[0], basis, 1)
    np.testing.assert_allclose(skew_fit(states, steps), slow, atol=1e-8)


def test_smooth_noise_has_no_rotations_beyond_chance():
    answers = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        counts = cj.Recording.from_counts(rng.poisson(2.0, (80, 60, 15)), 0.01, conditions=list(range(8)) * 10)
        answers.append(find_rotations(counts.smooth(0.05), 4, n_shuffles=19).answer)
    assert answers.count("rotations") <= 3  # of ten, at a level of .05: more than 3 in one suite of a thousand


def test_what_cannot_be_is_refused():
    recording = rotating()
    for message, call in (
        ("even number", lambda: find_rotations(recording, 3)),
        ("at least 4 conditions", lambda: find_rotations(recording.select(conditions=[0, 1, 2]))),
        ("expected one with conditions", lambda: find_rotations(cj.Recording.from_calcium(recording.values, 0.01))),
        ("bins that all conditions have", lambda: find_rotations(recording.window(0, 0.03))),
        ("at most 20", lambda: find_rotations(recording, 22)),
        ("`scheme`", lambda: find_rotations(recording, scheme="jpca")),
        ("`n_shuffles`", lambda: find_rotations(recording, n_shuffles=5)),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    same = cj.Recording.from_calcium(np.repeat(recording.values[:1], 5, 0), 0.01, conditions=range(5))
    with pytest.raises(ValueError, match="conditions that differ"):
        find_rotations(same)


@pytest.mark.skipif(not DATA.is_dir(), reason="the folder of recordings is not here")
def test_motor_cortex_rotates_while_the_arm_moves_and_not_long_before():
    with np.load(DATA / "hatsopoulos2007_M1_center_out.npz") as file:
        rates = np.moveaxis(file["firing_rate"], 2, 0).transpose(0, 2, 1)
    m1 = cj.Recording.from_rates(rates, 0.01, start=-0.8, conditions=range(8), smoothed_before=0.025).soft_normalise()
    moving = find_rotations(m1.window(-0.05, 0.15), n_shuffles=19)
    assert moving.answer == "rotations" and moving.r2_held_out > 0.25
    assert find_rotations(m1.window(-0.8, -0.4), n_shuffles=19).answer != "rotations"
