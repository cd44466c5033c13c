"""Classes of solutions: known skeletons, and estimates of classes not seen against known populations."""

import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy.analysis.population_classes import connected, unseen_classes


def _bistable(name, gain, turn=0.0):
    """Two units: gain > 1 in one of them holds one bit, in neither of them none."""
    c, s = np.cos(turn), np.sin(turn)
    q = torch.tensor([[c, -s], [s, c]])
    w = torch.diag(torch.tensor([gain, 0.3], dtype=torch.float64))

    def step(x, u):
        y = x @ q.to(x.dtype)
        return (torch.tanh(y @ w.to(x.dtype)) + 0 * u) @ q.T.to(x.dtype)

    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    states = []
    for _ in range(30):
        x = step(x, torch.zeros(40, 1, dtype=torch.float64))
        states.append(x)
    return cj.System.from_arrays(name, torch.stack(states, 1), np.zeros((40, 30, 1)), step=step)


def test_networks_are_sorted_by_skeleton_whatever_their_order():
    nets = [_bistable(f"bit {k}", 2.0, k) for k in range(3)] + [_bistable(f"none {k}", 0.5, k) for k in range(2)]
    found = cj.solution_classes(nets, n_inits=64)
    assert [c.members for c in found.classes] == [("bit 0", "bit 1", "bit 2"), ("none 0", "none 1")]
    assert found.classes[0].what == "2 memories, 1 saddle"
    assert found.unseen.new_share == 0
    again = cj.solution_classes(nets[::-1], n_inits=64)
    assert again.table().equals(found.table())
    assert "5 networks, 2 classes by skeleton" in repr(found)
    assert cj.plots.class_counts(found).axes[0].get_xlabel() == "number of networks"


def test_chao_and_good_by_hand():
    u = unseen_classes([5, 3, 2, 1, 1, 1])
    assert u.n_classes == pytest.approx(6 + 12 / 13 * 3 * 2 / (2 * 2))
    assert u.new_share == pytest.approx(3 / 13)
    assert u.low < u.n_classes < u.high
    full = unseen_classes([10, 10])
    assert (full.n_classes, full.low, full.high, full.new_share) == (2, 2, 2, 0)
    assert full.new_share_high == pytest.approx(1 - 0.05 ** (1 / 20))


@pytest.mark.parametrize("n_classes", [3, 8])
def test_the_bound_on_new_classes_holds_as_often_as_it_says(n_classes):
    rng = np.random.default_rng(0)
    weights = 0.5 ** np.arange(n_classes)
    weights = weights / weights.sum()
    held = []
    for _ in range(400):
        counts = rng.multinomial(20, weights)
        held.append(weights[counts == 0].sum() <= unseen_classes(counts[counts > 0].tolist()).new_share_high)
    assert np.mean(held) > 0.93


def test_chains_join():
    same = np.eye(4, dtype=bool)
    same[0, 2] = same[2, 0] = same[2, 3] = same[3, 2] = True
    assert connected(same) == [[0, 2, 3], [1]]


def test_bad_input_gets_one_line():
    with pytest.raises(ValueError, match="`by`"):
        cj.solution_classes([_bistable("a", 2.0), _bistable("b", 2.0)], by="size")
    with pytest.raises(TypeError, match=r"`networks\[1\]`: expected a Run"):
        cj.solution_classes([_bistable("a", 2.0), 3])
    with pytest.raises(ValueError, match="`networks`"):
        cj.solution_classes([_bistable("a", 2.0)])
