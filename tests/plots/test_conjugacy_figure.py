"""The figure of a change of coordinates."""

import numpy as np
import pytest

import conjugacy as cj
from conjugacy.similarity.conjugacy_maps import fit_conjugacy
from conjugacy.similarity.known_answers import known_pairs


def test_three_panels_with_units_and_what_was_found():
    pair = {p.relation: p for p in known_pairs(0)}["fixed point removed"]
    found = fit_conjugacy(pair.a, pair.b, n_steps=0)
    figure = cj.plots.conjugacy(found)
    left, middle, right, bar = figure.axes
    for ax in (left, middle, right):
        assert ax.get_xlabel() and ax.get_ylabel() and ax.get_title()
    assert bar.get_ylabel()
    curves = [line.get_ydata() for line in left.get_lines()[:2]]
    for curve, direction in zip(curves, (found.there, found.back)):
        assert np.allclose(curve, np.clip(direction.curve, -0.1, 1.0))
    ways = [f"{d.a} → {d.b}" for d in (found.there, found.back)]
    assert [t.get_text() for t in left.get_legend().get_texts()][:2] == ways
    table = found.residuals()
    assert middle.get_lines()[1].get_ydata()[0] == pytest.approx(table[table["time"] == 0]["flow"].mean())


def test_something_else_is_refused():
    with pytest.raises(TypeError, match="`found`: expected a Conjugacy"):
        cj.plots.conjugacy(3)
