"""The HTML form of objects: tables with what is known, names escaped, no nan."""

import re

import numpy as np
import pytest

import conjugacy as cj
from conjugacy._html import card, html_table
from conjugacy.dynamics.audit import Audit

NASTY = '<img src=x onerror="alert(1)">'


def words(html):
    return re.sub(r"<[^>]*>", " ", html)


def test_a_table_leaves_out_what_nobody_knows_and_escapes_what_users_name():
    html = html_table([{"name": NASTY, "value": 0.123456, "empty": float("nan"), "p": None}, {"name": "b", "p": 2}])
    assert "<img" not in html and "&lt;img" in html and "0.1235" in html
    assert "empty" not in html and "nan" not in html
    assert html.count("<tr>") == 3 and html.count("<th ") == 3
    assert "5 more: .table()" in html_table([{"k": k} for k in range(9)], ".table()", 4)
    assert html_table([]) == "" and "<img" not in card(NASTY)


@pytest.fixture(scope="module")
def systems():
    rng = np.random.default_rng(0)
    return [cj.System.from_arrays(name, rng.standard_normal((12, 20, 3))) for name in (NASTY, "b", "c")]


def test_a_comparison_shows_its_scores_and_nothing_that_is_not_there(systems):
    comparison = cj.compare(systems, ["cka", "state_r2", "procrustes"], n_resamples=20, progress=False)
    html = comparison._repr_html_()
    assert "<img" not in html and "nan" not in words(html).lower().split()
    assert html.count("<tr>") == 1 + len(comparison.scores)
    assert "by chance" not in html  # no null was asked for
    assert "by chance" in cj.compare(systems, "cka", null="auto", n_resamples=20, n_surrogates=5)._repr_html_()
    score = comparison.scores[0]
    assert f"{score.value:.4f}" in html and f"{score.value:.4f}" in score._repr_html_()
    assert "<img" not in score._repr_html_()


def test_points_portraits_runs_and_audits(small_runs):
    run = small_runs[0]
    html = run._repr_html_()
    assert f"{run.metrics['test_r2']:.4g}" in html and "<table" in html
    points = cj.Analysis(run).fixed_points(n_inits=32, progress=False)
    html = points._repr_html_()
    assert f"{len(points)} point" in html and "unstable directions" in html and "nan" not in words(html).split()
    audit = points.audit()
    assert all(line.split("<")[0][:20] in words(audit._repr_html_()).replace("&#x27;", "'") for line in audit.lines)
    assert "memories" in points.portrait()._repr_html_()
    assert "&lt;b&gt;" in Audit(None, None, None, 0.0, 1.0, ("<b>",))._repr_html_()
