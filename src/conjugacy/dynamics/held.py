"""Points that hold on a time scale, added to the exact ones: memories by flow, saddles by Levenberg-Marquardt.

Memories are where orbits from the data come to rest, at the latest after a few horizons: they move, within one more
horizon, by less than a quarter of the spread of the visited states and a tenth of the range of the readout. Ends that
a path of held states joins are one plateau (`plateaus.py`), which one point stands for: an exact fixed point on it,
if there is one, else its most central end. Saddles are sought from mixtures of visited states and from walls between
the memories (`memory_graph.py`), with a damping that never falls below 1 / H^2 (`levenberg.py`; slow points: Sussillo
& Barak, Neural Comput. 25:626, 2013); those that separate the same memories and grow in as many directions are one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from conjugacy.dynamics.cycles import Cycle, find_cycles
from conjugacy.dynamics.distances import distances
from conjugacy.dynamics.edge_states import edge_states
from conjugacy.dynamics.horizon import (
    GROWTH,
    READOUT_MOVES,
    STATE_MOVES,
    TOLERANCE,
    carried,
    growth_rates,
    motion,
    n_steps_of,
    on_horizon,
)
from conjugacy.dynamics.jacobian import chunks
from conjugacy.dynamics.levenberg import slide
from conjugacy.dynamics.map import Map
from conjugacy.dynamics.memory_graph import Memories, Walls, find_walls, sides_of
from conjugacy.dynamics.orbits import advance, time_step
from conjugacy.dynamics.plateaus import Plateau, Ruler, grouped, joined, shape_of
from conjugacy.dynamics.starts import mixtures

_N_ORBITS = 160
_MOST_STATE_STEPS = 1_000_000  # orbits times steps, for horizons of very many steps
_N_MIXTURES, _N_WALLS = 40, 36
_MOST_EDGES = 12  # pairs of neighbours without a saddle whose wall is followed
_UNITS = 160  # beyond this number of units fewer starts are followed
_SPLINTER = 0.02  # share of the orbits below which an end is looked at again
_ON_PLATEAU = 0.3  # of the spread: an exact point this near to the end of an orbit may lie on the same plateau
_KICK = 0.02
_PATIENCE = 6  # horizons for which an orbit is given time to come to rest
_MOST_UNREACHED = 12


@dataclass(frozen=True, eq=False)
class Held:
    """What holds on the horizon, beside the exact points.

    x : Tensor (P, D)
        One state for each memory without an exact point, then saddles, then stable points that no orbit reached.
    node : Tensor (P,)
        The plateau of each, or -1.
    sides : list of tuple of int
        The plateaus that orbits reach which leave a saddle; -1 stands for none.
    hits : Tensor (P,)
        Orbits or starts that ended there.
    reached : bool Tensor (P,)
    on_plateau : Tensor (E,)
        The plateau on which each exact point lies, or -1.
    exact_sides : list of tuple of int
        As `sides`, of the exact points that are saddles on the horizon; () for others.
    """

    x: Tensor
    node: Tensor
    sides: list[tuple[int, ...]]
    hits: Tensor
    reached: Tensor
    on_plateau: Tensor
    exact_sides: list[tuple[int, ...]]
    plateaus: tuple[Plateau, ...]
    walls: tuple[tuple[int, int, int], ...]
    memories: Memories | None
    cycles: tuple[Cycle, ...]
    n_orbits: int
    n_unsettled: int


def hold(
    dynamics: Map,
    exact: Tensor,
    growing: Tensor,
    isolated: Tensor,
    more_starts: Tensor,
    u: Tensor,
    visited: Tensor,
    *,
    scale: float,
    horizon: float,
    generator: Generator,
) -> Held:
    """Everything that holds for `horizon`.

    Parameters
    ----------
    exact : Tensor (E, D)
        Exact fixed points.
    growing : Tensor (E,)
        How many directions of each grow within the horizon.
    isolated : bool Tensor (E,)
        False for points of a continuum.
    more_starts : Tensor (S, D)
        States from which saddles are sought as well.
    u : Tensor (I,)
        The held input.
    visited : Tensor (N, D)
        States from the data, with spread `scale`.
    """
    h = time_step(dynamics, visited[:: max(1, len(visited) // 8)][:8], u)
    n = n_steps_of(horizon, h)
    ruler = Ruler(dynamics, visited, scale)
    n_orbits = max(24, min(_N_ORBITS, _MOST_STATE_STEPS // (2 * n)))
    starts = visited[torch.randint(len(visited), (n_orbits,), generator=generator)]
    ends, rests = _followed_to_rest(dynamics, carried(dynamics, starts, u, h, n), u, h, n, ruler)
    held_input: Any = u
    moving = ends[~rests & torch.isfinite(ends).all(-1)]
    cycles = find_cycles(dynamics, moving[:8], held_input, n_transient=0)[0] if len(moving) else ()
    ends = ends[rests]
    groups = _without_splinters(dynamics, ends, grouped(dynamics, ends, u, h, n, ruler), u, h, n, ruler)
    plateaus = tuple(_plateau(dynamics, ends[k], u, h, n, ruler, horizon, len(k) / n_orbits) for k in groups)
    owner = torch.full((len(ends),), -1)
    for k, rows in enumerate(groups):
        owner[rows] = k
    memories = Memories(dynamics, u, h, n, ruler, ends, owner) if len(ends) else None
    on_plateau = _exact_on_plateaus(dynamics, exact, growing, isolated, memories)
    walls = find_walls(memories, generator) if memories is not None and len(memories) > 1 else None
    heads = [k for k in range(len(plateaus)) if not bool((on_plateau == k).any())]
    head_states = [_most_central(ends[groups[k]], ruler) for k in heads]
    exact_sides: list[tuple[int, ...]] = [()] * len(exact)
    growing_rows = torch.nonzero(growing > 0)[:, 0].tolist()
    if memories is not None and growing_rows:
        bases = _growing_directions(dynamics, exact[growing_rows], u, horizon)[0]
        slow = 4 * TOLERANCE * scale / horizon
        found = sides_of(memories, exact[growing_rows], bases, _KICK * scale, slow, generator)
        for p, reached in zip(growing_rows, found):
            exact_sides[p] = reached
    known = {(int(growing[p]), exact_sides[p]) for p in growing_rows if max(exact_sides[p], default=-1) >= 0}
    saddles, sides, hits, others = _saddles(
        dynamics, exact, known, more_starts, u, visited, walls, memories, horizon, scale, generator
    )
    x = torch.cat([*(s[None] for s in head_states), saddles, others, visited[:0]])
    n_saddles, n_others = len(saddles), len(others)
    return Held(
        x=x,
        node=torch.tensor(heads + [-1] * (n_saddles + n_others), dtype=torch.int64),
        sides=[()] * len(heads) + sides + [()] * n_others,
        hits=torch.tensor([len(groups[k]) for k in heads] + hits + [1] * n_others, dtype=torch.int64),
        reached=torch.tensor([True] * (len(heads) + n_saddles) + [False] * n_others, dtype=torch.bool),
        on_plateau=on_plateau,
        exact_sides=exact_sides,
        plateaus=plateaus,
        walls=() if walls is None else tuple((a, b, n) for (a, b), n in walls.neighbours().items()),
        memories=memories,
        cycles=cycles,
        n_orbits=n_orbits,
        n_unsettled=n_orbits - len(ends),
    )


def _followed_to_rest(dynamics, x, u, h, n, ruler) -> tuple[Tensor, Tensor]:
    """The ends (N, D) of orbits at `x`, and which of them rest; those that still move are followed for longer.

    What is approached within a few horizons is where the orbit belongs, though it is not there after one.
    """
    rests = torch.zeros(len(x), dtype=torch.bool)
    x = x.clone()
    for _ in range(_PATIENCE):
        left = torch.nonzero(~rests & torch.isfinite(x).all(-1))[:, 0]
        if not len(left):
            break
        ends, way, read_way = motion(dynamics, x[left], u, h, n)
        here = torch.isfinite(ends).all(-1) & (way <= STATE_MOVES * ruler.scale)
        if read_way is not None and bool(ruler.tells.any()):
            here &= read_way <= READOUT_MOVES * ruler.range
        x[left], rests[left] = ends, here
    return x, rests


def _without_splinters(dynamics, ends, groups, u, h, n, ruler) -> list[Tensor]:
    """Give groups of very few orbits to a larger one if they go there within eight more horizons."""
    large = [k for k in groups if len(k) > _SPLINTER * len(ends)]
    small = [k for k in groups if len(k) <= _SPLINTER * len(ends)]
    if not small or not large:
        return groups
    rows = torch.cat(small)
    owner = torch.cat([torch.full((len(k),), number) for number, k in enumerate(large)])
    known = Memories(dynamics, u, h, n, ruler, ends[torch.cat(large)], owner)
    name = known.name(ends[rows], 8 * n)
    kept = [torch.cat([k, rows[name == number]]) for number, k in enumerate(large)]
    place = dict(zip(rows.tolist(), name.tolist()))
    return kept + [k for k in small if all(place[row] < 0 for row in k.tolist())]


def _plateau(dynamics, states, u, h, n, ruler, horizon, share) -> Plateau:
    some = states[:: max(1, len(states) // 4)][:4]
    values = torch.linalg.eigvals(dynamics.jacobians(some, u.expand(len(some), -1))[0])
    n_neutral = int(on_horizon(values, horizon, dynamics.flow)[2].median())
    dimension, extent, topology = shape_of(dynamics, states, u, h, n, ruler, n_neutral)
    return Plateau(states, ruler.readout(states).mean(0), share, dimension, extent, topology)


def _exact_on_plateaus(dynamics, exact, growing, isolated, memories) -> Tensor:
    """The plateau on which each exact point lies: one that grows in no direction, beside an end, and joined to it.

    A continuum may go on farther than the data fill it.
    """
    on = torch.full((len(exact),), -1)
    if memories is None or not len(exact):
        return on
    ruler = memories.ruler
    gap, which = distances(ruler.coordinates(exact), ruler.coordinates(memories.ends)).min(1)
    rows = torch.nonzero(((gap <= _ON_PLATEAU) | ~isolated) & (growing == 0))[:, 0]
    if len(rows):
        ends = memories.ends[which[rows]]
        yes = joined(dynamics, exact[rows], ends, memories.u, memories.h, memories.n_steps, ruler)
        on[rows[yes]] = memories.owner[which[rows[yes]]]
    return on


def _most_central(states: Tensor, ruler: Ruler) -> Tensor:
    """The state with the least sum of distances to the others: it lies on a ring, where the mean does not."""
    where = ruler.coordinates(states)
    return states[distances(where, where).sum(1).argmin()]


def _saddles(dynamics, exact, known, more_starts, u, visited, walls, memories, horizon, scale, generator):
    """Held points with growing directions, the memories they separate and their hits; and stable ones, not reached."""
    # the work for a start grows with the cube of the units
    share = min(1.0, (_UNITS / visited.shape[1]) ** 1.5)
    starts = [mixtures(visited, round(share * _N_MIXTURES), 3, generator), more_starts]
    if walls is not None and len(walls.x):
        starts.append(_slowest_on_the_way(memories, walls.x[_in_turns(walls)[: round(share * _N_WALLS)]]))
    x, bases, n_growing = _held_near(dynamics, torch.cat(starts), exact, u, horizon, scale)
    others = _unreached(x[n_growing == 0], memories, scale) if len(x) else x
    if memories is None:
        return x[:0], [], [], others
    states: list[Tensor] = []
    kept: dict[tuple[int, tuple[int, ...]], list[int]] = {}

    def keep(x: Tensor, bases: list[Tensor], n_growing: Tensor) -> None:
        unstable = torch.nonzero(n_growing > 0)[:, 0].tolist()
        slow = 4 * TOLERANCE * scale / horizon
        sides = sides_of(memories, x[unstable], [bases[p] for p in unstable], _KICK * scale, slow, generator)
        for p, reached in zip(unstable, sides):
            # an exact saddle that separates the same memories stands for these too
            if (int(n_growing[p]), reached) not in known:
                kept.setdefault((int(n_growing[p]), reached), []).append(len(states))
                states.append(x[p])

    keep(x, bases, n_growing)
    if walls is not None:
        found = {sides for n, sides in (*kept, *known) if n == 1}
        missing = [pair for pair in walls.neighbours() if pair not in found][: round(share * _MOST_EDGES)]
        edges, _ = edge_states(memories, missing, generator)
        keep(*_held_near(dynamics, edges, exact, u, horizon, scale))
    if not states:
        return x[:0], [], [], others
    found_x = torch.stack(states)
    speed = dynamics.residual(found_x, u.expand(len(found_x), -1)).norm(dim=-1)
    kept = _with_parts(kept, known)
    order = sorted(kept, key=lambda key: (key[0], -len(kept[key]), key[1]))
    first = [min(kept[key], key=lambda p: float(speed[p])) for key in order]
    return found_x[first], [key[1] for key in order], [len(kept[key]) for key in order], others


def _held_near(dynamics, starts, exact, u, horizon, scale) -> tuple[Tensor, list[Tensor], Tensor]:
    """Points that hold near `starts` and are no exact ones: states, bases of what grows, and in how many directions."""
    nothing: tuple[Tensor, list[Tensor], Tensor] = (starts[:0], [], torch.zeros(0, dtype=torch.int64))
    if not len(starts):
        return nothing
    floor = min(1.0, 1 / horizon**2)
    x, norm = slide(dynamics, starts, u, floor=floor, enough=TOLERANCE**2 * scale / horizon)
    x = x[norm * horizon <= TOLERANCE * scale]
    if len(exact) and len(x):
        x = x[distances(x, exact).amin(1) > TOLERANCE * scale]
    if not len(x):
        return nothing
    bases, newton, n_growing = _growing_directions(dynamics, x, u, horizon)
    still = (newton <= TOLERANCE * scale) | (n_growing == 0)
    return x[still], [basis for basis, ok in zip(bases, still.tolist()) if ok], n_growing[still]


def _with_parts(kept, known) -> dict[tuple[int, tuple[int, ...]], list[int]]:
    """Saddles of several growing directions from which fewer memories were reached are those that reach them all."""
    merged: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for index, sides in sorted(kept, key=lambda key: -len(key[1])):
        part = {side for side in sides if side >= 0}
        whole = [key for key in (*known, *merged) if index > 1 and key[0] == index and part <= set(key[1])]
        if not whole or not part:
            merged[index, sides] = kept[index, sides]
        elif whole[0] in merged:
            merged[whole[0]] += kept[index, sides]
    return merged


def _in_turns(walls: Walls) -> list[int]:
    """The walls in an order in which every pair of memories comes before any comes twice."""
    seen: dict[tuple[int, ...], int] = {}
    turn = []
    for side in walls.sides.tolist():
        pair = tuple(sorted(side))
        turn.append(seen.get(pair, 0))
        seen[pair] = turn[-1] + 1
    return sorted(range(len(turn)), key=lambda k: turn[k])


def _slowest_on_the_way(memories: Memories, x: Tensor, n_steps: int = 5) -> Tensor:
    """The slowest state on the orbit of each wall, which first leads along it: towards its saddle."""
    best, least, u = x, torch.full((len(x),), torch.inf, dtype=torch.float64), memories.u.expand(len(x), -1)
    for _ in range(n_steps):
        speed = memories.dynamics.residual(x, u).norm(dim=-1)
        slower = speed < least
        best, least = torch.where(slower[:, None], x, best), torch.where(slower, speed, least)
        x = advance(memories.dynamics, x, u, memories.h)
    return best


def _growing_directions(dynamics, x, u, horizon):
    """Orthonormal bases (D, k) of the growing directions, the length of Newton's step in them, and their number."""
    bases, newton, number = [], torch.zeros(len(x), dtype=torch.float64), torch.zeros(len(x), dtype=torch.int64)
    for part in chunks(len(x), x.shape[1], 4):
        held = u.expand(len(x[part]), -1)
        residual = dynamics.residual(x[part], held)
        values, vectors = torch.linalg.eig(dynamics.jacobians(x[part], held)[0])
        grows = growth_rates(values, dynamics.flow) * horizon > GROWTH
        for p in range(len(values)):
            row = part.start + p
            number[row] = int(grows[p].sum())
            v = vectors[p][:, grows[p]]
            # conjugate pairs span as many real dimensions as there are vectors
            bases.append(torch.linalg.svd(torch.cat([v.real, v.imag], 1), full_matrices=False)[0][:, : v.shape[1]])
            if v.shape[1]:
                away = torch.linalg.lstsq(vectors[p], residual[p].to(v.dtype)[:, None]).solution[:, 0][grows[p]]
                newton[row] = (v @ (away / (values[p][grows[p]] - (0 if dynamics.flow else 1)))).norm()
    return bases, newton, number


def _unreached(x: Tensor, memories: Memories | None, scale: float) -> Tensor:
    """Stable held states that belong to no memory which orbits from the data reach, a few that lie apart."""
    if memories is not None and len(x):
        x = x[memories.name(x) < 0]
    kept: list[Tensor] = []
    for state in x:
        if len(kept) < _MOST_UNREACHED and all(float((state - other).norm()) > STATE_MOVES * scale for other in kept):
            kept.append(state)
    return torch.stack(kept) if kept else x[:0]
