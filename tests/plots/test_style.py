"""Figures for a paper: as wide as its columns, with text that is text; and one palette."""

import re
import zlib
from pathlib import Path

import matplotlib
import numpy as np
import pytest

import conjugacy as cj
from conjugacy import plots
from conjugacy.plots import palette


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    return cj.similarity.pairwise(list(rng.standard_normal((8, 4, 9, 2))), "procrustes", progress=False)


@pytest.mark.parametrize(("columns", "width"), [(1, 3.5), (2, 7.2)])
def test_a_paper_sets_width_and_text_and_leaves_nothing_behind(pairs, columns, width, unreadable):
    before = matplotlib.rcParams.copy()
    with plots.style("paper", columns=columns):
        figure = plots.similarity_map(pairs)
        matrix = plots.similarity_matrix(pairs)
        assert unreadable(figure) == [] and unreadable(matrix) == []
        assert figure.axes[0].xaxis.label.get_fontsize() == 7.0
    assert figure.get_size_inches()[0] == width
    assert matplotlib.rcParams == before
    assert plots.similarity_map(pairs).get_size_inches()[0] > 5


def test_text_in_vector_files_is_text(pairs, tmp_path):
    with plots.style("paper"):
        figure = plots.similarity_map(pairs)
        figure.savefig(tmp_path / "map.svg")
        figure.savefig(tmp_path / "map.pdf")
    svg = (tmp_path / "map.svg").read_text(encoding="utf-8")
    assert ">dimension 1 (rad)</text>" in svg
    pdf = (tmp_path / "map.pdf").read_bytes()
    # TrueType (42), and no glyphs as drawings (Type 3)
    assert b"/CIDFontType2" in pdf and b"/Type3" not in pdf
    streams = [zlib.decompress(s) for s in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)[:3]]
    assert any(b"TJ" in s or b"Tj" in s for s in streams)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"purpose": "papre"}, "Did you mean 'paper'?"),
        ({"columns": 3}, "`columns`: expected an integer in [1, 2], got 3"),
        ({"width": 0.1}, "`width`: expected a number in [0.5"),
    ],
)
def test_what_a_style_does_not_take(options, message):
    with pytest.raises(ValueError, match=re.escape(message)), plots.style(**options):
        pass


def test_all_colours_are_in_one_file():
    folder = Path(plots.__file__).parent
    named = re.compile(r"""["'](#[0-9a-fA-F]{6}|C\d|tab:\w+|viridis\w*|hsv|Blues|red|blue|green|orange)["']|f"C\{""")
    for file in folder.glob("*.py"):
        if file.name != "palette.py":
            assert not named.findall(file.read_text(encoding="utf-8")), file.name


def lightness_and_hue(colour):
    """CIE L*a*b* of a colour as one with normal sight, and ones without red and green receptors, see it."""
    linear = np.array(matplotlib.colors.to_rgb(colour)) ** 2.2
    # Viénot, Brettel and Mollon 1999, equations 3 to 7: long, middle and short waves, and what is left without one
    to_lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    without = {
        "normal": np.eye(3),
        "no red": np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]]),
        "no green": np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]]),
    }
    seen = {}
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    for name, change in without.items():
        rgb = np.clip(np.linalg.inv(to_lms) @ change @ to_lms @ linear, 0, 1)
        x, y, z = np.cbrt(np.maximum(to_xyz @ rgb / [0.9505, 1, 1.089], 1e-6))
        seen[name] = np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
    return seen


def test_the_first_six_colours_and_those_of_points_are_told_apart_by_the_colour_blind():
    for colours in (palette.SERIES[:6], (palette.STABLE, *palette.SADDLES[:4])):
        seen = [lightness_and_hue(c) for c in colours]
        for sight in seen[0]:
            gaps = [np.linalg.norm(a[sight] - b[sight]) for i, a in enumerate(seen) for b in seen[:i]]
            assert min(gaps) > 10, (sight, min(gaps))  # a difference of 2 is just seen side by side
