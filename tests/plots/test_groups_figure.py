import numpy as np
import pytest

import conjugacy as cj
from conjugacy.analysis.groups import GroupComparison


def test_a_plane_of_points_is_kept_whole_and_groups_have_colours():
    points = np.random.default_rng(0).normal(size=(7, 2))
    d = np.linalg.norm(points[:, None] - points[None], axis=2)
    groups = {"x": tuple("abc"), "y": tuple("defg")}
    figure = cj.plots.group_map(GroupComparison(groups, {"dsa": d}, (), 0.95))
    left, right = figure.axes
    assert left.get_title() == "Map: 100% of the squared distances"
    drawn = np.vstack([line.get_xydata() for line in left.lines])
    assert np.allclose(np.linalg.norm(drawn[:, None] - drawn[None], axis=2), d)
    assert sorted(t.get_text() for t in right.get_yticklabels()) == list("abcdefg")
    with pytest.raises(ValueError, match="`measure`"):
        cj.plots.group_map(GroupComparison(groups, {"dsa": d}, (), 0.95), "cka")
