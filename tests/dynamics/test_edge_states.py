import numpy as np
import torch

import conjugacy as cj
from conjugacy.dynamics import as_map
from conjugacy.dynamics.edge_states import edge_states
from conjugacy.dynamics.memory_graph import Memories
from conjugacy.dynamics.plateaus import Ruler

from .known_systems import flip_flop, states


def test_a_wall_that_is_followed_leads_to_the_saddle_on_it():
    dynamics = as_map(flip_flop(2))
    points = cj.fixed_points(flip_flop(2), progress=False)
    u, stable = torch.from_numpy(points.u[0]), points[points.n_unstable == 0]
    ends = torch.from_numpy(stable.x).repeat(5, 1) + 0.05 * states(20, 2)
    memories = Memories(dynamics, u, 1.0, 40, Ruler(dynamics, ends, 1.0), ends, torch.arange(4).repeat(5))
    bits = stable.x > 0
    pairs = [(a, b) for a in range(4) for b in range(a) if (bits[a] != bits[b]).sum() == 1]
    x, found = edge_states(memories, [(b, a) for a, b in pairs], torch.Generator().manual_seed(0))
    assert set(found) == {(b, a) for a, b in pairs}
    saddles = points[points.n_unstable == 1]
    for state, pair in zip(x.numpy(), found):
        gap = np.linalg.norm(saddles.x - state, axis=1)
        between = stable.x[list(pair)].mean(0)
        assert gap.min() < 0.02 and np.linalg.norm(saddles.x[gap.argmin()] - between) < 1e-6
