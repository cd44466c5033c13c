"""The rounds of `attractors`: orbits are followed until each has an attractor with a name, or time is up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Generator, Tensor

from conjugacy._progress import progress_bar
from conjugacy.dynamics.attractor_results import Attractor
from conjugacy.dynamics.clouds import apart, groups
from conjugacy.dynamics.curve_cycles import cycle_of_flow, cycle_of_map, rational_groups
from conjugacy.dynamics.resting import Rest, fixed_points_ahead, held_points
from conjugacy.dynamics.returns import Recurrence, first_return, recurrence
from conjugacy.dynamics.strobe import Strobe
from conjugacy.dynamics.tangent import first_frame, grow
from conjugacy.dynamics.turning import Motion, Verdict, turn_of

_STRETCH_BYTES = 1.5e8  # of the stretches of all moving orbits, and of the long paths of a batch of groups
_STRETCH = 1024
_LONG = (4096, 16_384, 32_768)  # looks of the long paths in each round
_MOST_GROUPS = 40
_PUSH = 1e-6  # spreads
_AWAY = 1e6  # spreads: an orbit this far out has left


class AttractorSearch:
    """Orbits, where they are, and what has been found of where they end."""

    def __init__(
        self,
        strobe: Strobe,
        starts: Tensor,
        *,
        scale: float,
        centre: Tensor,
        horizon: float,
        n_exponents: int,
        generator: Generator,
        progress: bool,
    ):
        self.strobe, self.x, self.scale, self.centre, self.horizon = strobe, starts.clone(), scale, centre, horizon
        self.n_exponents, self.generator, self.progress = n_exponents, generator, progress
        self.owner = torch.full((len(starts),), -1)
        self.found: list[Attractor] = []
        self.cycles: dict[int, Recurrence] = {}  # by position in `found`
        self.clouds: dict[int, np.ndarray] = {}
        self.looks = 0  # of the strobe itself, that all orbits still moving have taken
        self.held_flow = strobe.dynamics.flow and len(strobe.inputs) == 1
        self.doubts: dict[int, Verdict] = {}
        self.pace = 1  # of the strobe that `_stretches` chose

    @property
    def moving(self) -> Tensor:
        """Indices of the orbits without an attractor."""
        return torch.nonzero(self.owner < 0)[:, 0]

    def run(self, n_transient: int, max_steps: int) -> None:
        """Rounds, until all orbits have an attractor or `max_steps` steps are over; Ctrl-C ends them."""
        per_look = len(self.strobe.inputs)
        first = max(1, n_transient // per_look, min(200, n_transient))
        most = max(first, max_steps // per_look)
        with progress_bar(
            total=len(self.owner), desc="Following orbits to attractors", show=self.progress, unit="orbits"
        ) as bar:
            try:
                need = first
                for k, n_long in enumerate(_LONG):
                    self.advance(max(0, min(need, most) - self.looks))
                    self.rest()
                    if k == 0 and self.nudge():
                        self.advance(first)
                        self.rest()
                    bar.update(int((self.owner >= 0).sum()) - bar.n)
                    if not len(self.moving):
                        return
                    final = k + 1 == len(_LONG) or self.looks >= most
                    n_long = max(512, int(n_long / np.clip(per_look / 4, 1, 8)))
                    wait = self.turns(n_long, final)
                    bar.update(int((self.owner >= 0).sum()) - bar.n)
                    if not len(self.moving) or final:
                        break
                    need = min(most, max(4 * self.looks, int(wait) + 1))
                self.drift()
            except KeyboardInterrupt:
                pass

    def result(self) -> tuple[tuple[Attractor, ...], Tensor]:
        """The attractors, the most frequent first (what has no name last), and which each orbit (B,) ended at."""
        self._name_the_rest()
        n = len(self.owner)
        last = {"unresolved": 1, "runaway": 2}
        hits = torch.bincount(self.owner, minlength=len(self.found)).tolist()
        order = sorted(
            (k for k in range(len(self.found)) if hits[k]), key=lambda k: (last.get(self.found[k].kind, 0), -hits[k], k)
        )
        place = torch.full((len(self.found),), -1)
        place[order] = torch.arange(len(order))
        owner = place[self.owner]
        items = []
        for p, k in enumerate(order):
            orbits = torch.nonzero(owner == p)[:, 0]
            items.append(replace(self.found[k], hits=hits[k], share=hits[k] / n, orbits=orbits))
        return tuple(items), owner

    # --- following ---

    def advance(self, n: int, every: int = 50) -> None:
        """Take all moving orbits `n` looks on; those that leave for infinity, or rest, are set aside."""
        done = 0
        still: Tensor = torch.zeros(len(self.x), dtype=torch.bool)
        while done < n:
            active = torch.nonzero((self.owner < 0) & ~still)[:, 0]
            if not len(active):
                break
            steps = min(every, n - done)
            x = self.strobe.run(self.x[active], steps - 1)
            after = self.strobe.step(x)
            self.x[active] = after
            done += steps
            away = ~torch.isfinite(after).all(-1) | ~((after - self.centre).norm(dim=-1) <= _AWAY * self.scale)
            if bool(away.any()):
                self._give(
                    Attractor("runaway", self.x[:0], 0.0, 0, time_scale=self._time(self.looks + done)), active[away]
                )
            still[active] = ((after - x).norm(dim=-1) <= 1e-13 * self.scale) & ~away
        self.looks += n

    def rest(self) -> None:
        """Name the orbits that come to rest, or hold."""
        time = self._time(self.looks)
        moving = self.moving
        if len(moving):
            self._settle(
                moving,
                fixed_points_ahead(self.strobe, self.x[moving], self.scale, self.generator, time, self.n_exponents),
            )
        moving = self.moving
        if len(moving) and self._time(self.looks) >= self.horizon:
            self._settle(
                moving, held_points(self.strobe, self.x[moving], self.scale, self.horizon, time, self.n_exponents)
            )

    def nudge(self) -> bool:
        """Push orbits that stand on a point that does not attract, where they would stand for ever; whether any did."""
        moving = self.moving
        if not len(moving):
            return False
        x = self.x[moving]
        gap = (self.strobe.step(x) - x).norm(dim=-1)
        still = gap <= 1e-13 * torch.clamp(x.norm(dim=-1), min=self.scale)
        if some := bool(still.any()):
            push = torch.randn(x[still].shape, generator=self.generator, dtype=torch.float64)
            self.x[moving[still]] += _PUSH * self.scale * push
        return some

    def turns(self, n_long: int, final: bool) -> float:
        """Name the orbits that repeat or turn; returns how many looks the undecided need before the next round."""
        strobe, stretch = self._stretches()
        if not self.held_flow:
            self._repeating(stretch)
        moving = self.moving
        if not len(moving):
            return 0.0
        stretch = {i: stretch[i] for i in moving.tolist()}
        label = groups(torch.stack([stretch[i] for i in moving.tolist()]).numpy())
        order = sorted(set(label.tolist()), key=lambda g: -int((label == g).sum()))[:_MOST_GROUPS]
        d = self.x.shape[1]
        each = int(np.clip(40_000 // n_long, 2, 8))
        batch = max(1, int(2 * _STRETCH_BYTES / (8 * each * n_long * d)))
        wait = 0.0
        for start in range(0, len(order), batch):
            chosen = [moving[torch.from_numpy(label == g)] for g in order[start : start + batch]]
            for orbits, motion in zip(chosen, self._follow(strobe, stretch, chosen, n_long, each)):
                wait = max(wait, self._judge(strobe, orbits, motion, final))
        return wait * strobe.pace

    def drift(self) -> None:
        """Name the orbits that have left slowly."""
        far = (self.x - self.centre).norm(dim=-1) > 100 * self.scale
        moving = self.moving[far[self.moving]]
        if len(moving):
            later = self.strobe.run(self.x[moving], max(50, self.looks // 10))
            gone = (later - self.centre).norm(dim=-1) > 1.02 * (self.x[moving] - self.centre).norm(dim=-1)
            if bool(gone.any()):
                self._give(Attractor("runaway", self.x[:0], 0.0, 0, time_scale=self._time(self.looks)), moving[gone])

    # --- naming ---

    def _give(self, attractor: Attractor, orbits: Tensor) -> int:
        """Set `orbits` as those of `attractor`, which is a new one unless orbits have left before."""
        where = next((k for k, a in enumerate(self.found) if a.kind == attractor.kind == "runaway"), len(self.found))
        if where == len(self.found):
            self.found.append(attractor)
        self.owner[orbits] = where
        return where

    def _settle(self, moving: Tensor, rests: list[Rest]) -> None:
        for rest in rests:
            orbits = moving[torch.tensor(rest.orbits)]
            for k, known in enumerate(self.found):
                same = known.kind == rest.attractor.kind and known.x.shape == rest.attractor.x.shape
                if same and float((known.x - rest.attractor.x).norm(dim=-1).max()) <= 1e-6 * self.scale:
                    self.owner[orbits] = k
                    break
            else:
                self._give(rest.attractor, orbits)

    def _stretches(self) -> tuple[Strobe, dict[int, Tensor]]:
        """The strobe at a pace that suits the motion, and a stretch (n, D) of each moving orbit at that pace.

        The orbits themselves move on to the end of it.
        """
        moving = self.moving
        n = int(np.clip(_STRETCH_BYTES / (8 * len(moving) * self.x.shape[1]), 128, _STRETCH))
        path = self.strobe.path(self.x[moving], n)
        pace = 1
        if len(self.strobe.inputs) == 1:
            turn = float(np.median([turn_of(p) for p in path]))
            pace = max(1, round(turn / 40)) if self.held_flow else max(1, int(turn // 200))
        self.pace, strobe = pace, self.strobe.at_pace(pace)
        if pace > 1:
            path = strobe.path(path[:, -1], n)
        self.looks += n * pace
        self.x[moving] = path[:, -1]
        whole = torch.isfinite(path).all(-1).all(-1)
        gone = moving[~whole | ~((path[:, -1] - self.centre).norm(dim=-1) <= _AWAY * self.scale)]
        if len(gone):
            self._give(Attractor("runaway", self.x[:0], 0.0, 0, time_scale=self._time(self.looks)), gone)
        return strobe, dict(zip(moving.tolist(), path))

    def _repeating(self, stretch: dict[int, Tensor]) -> None:
        """Name the orbits that come back exactly within their stretch."""
        circling: dict[int, list[int]] = {}
        for i in self.moving.tolist():
            if self._on_known_cycle(i):
                continue
            path = stretch[i]
            p = first_return(path)[0]
            if not p:
                continue
            # at the strobe's own pace: its period may be a fraction of that of the paced one
            made = self._recurrence(path[-1], p * self.pace)
            if made is None:
                continue
            if made.neutral:
                circling.setdefault(len(made.points), []).append(i)
            else:
                self._add_cycle(made, torch.tensor([i]))
        for p, orbits in circling.items():
            self._circling(p, torch.tensor(orbits))

    def _recurrence(self, x: Tensor, n: int) -> Recurrence | None:
        return recurrence(self.strobe, self.strobe.path(x[None], 2 * n + 2)[0])

    def _on_known_cycle(self, i: int) -> bool:
        for k, cycle in self.cycles.items():
            if cycle.holds(self.x[i], 1e-3):
                p = len(cycle.points)
                later = self.strobe.run(self.x[i][None], p)[0]
                if float((later - self.x[i]).norm()) <= 1e-3 * cycle.size:
                    self.owner[i] = k
                    return True
        return False

    def _add_cycle(self, made: Recurrence, orbits: Tensor) -> None:
        for k, known in self.cycles.items():
            if len(known.points) == len(made.points) and known.holds(made.points[0], 1e-5):
                self.owner[orbits] = k
                return
        attractor = cycle_of_map(self.strobe, made, self._time(self.looks), self.n_exponents, self.generator)
        self.cycles[self._give(attractor, orbits)] = made

    def _circling(self, p: int, orbits: Tensor) -> None:
        """Name orbits that repeat after p looks without being attracted along the way: they are on circles."""
        for cloud, members in rational_groups(
            self.strobe, self.x[orbits], p, self.generator, n_settle=min(self.looks, 5000)
        ):
            chosen = orbits[torch.tensor(members)]
            stretch = {int(i): self.strobe.path(self.x[i][None], max(64, 2 * p + 2))[0] for i in chosen}
            (motion,) = self._follow(self.strobe, stretch, [chosen], 4096, 2)
            motion = replace(motion, pooled=cloud)
            self._judge(self.strobe, chosen, motion, True, repeats=p)

    def _follow(self, strobe, stretch, chosen: list[Tensor], n: int, each: int) -> list[Motion]:
        """The motion of groups of orbits, some of each followed for `n` looks."""
        few = [orbits[:: max(1, len(orbits) // each)][:each] for orbits in chosen]
        rows = torch.cat(few)
        x = torch.stack([stretch[i][-1] for i in rows.tolist()])
        d = x.shape[1]
        path = torch.empty(len(rows), n, d, dtype=torch.float64)
        frame = first_frame(len(rows), d, self.n_exponents, self.generator)
        logs, last, _ = grow(strobe, x, frame, n, path=path)
        self.x[rows] = last
        out, start = [], 0
        for orbits, rep in zip(chosen, few):
            part = slice(start, start + len(rep))
            start += len(rep)
            pooled = torch.stack([stretch[i] for i in orbits.tolist()]).numpy()
            # one orbit's long path says more than its stretch
            turn = float(np.median([turn_of(p) for p in path[part]]))
            out.append(Motion(pooled, path[part].numpy(), logs[part].numpy(), self.looks / strobe.pace, turn))
        return out

    def _judge(self, strobe: Strobe, orbits: Tensor, motion: Motion, final: bool, repeats: int = 0) -> float:
        """Name a group of orbits if its motion allows it; returns the looks that it needs else."""
        if not np.isfinite(motion.path).all():
            return 0.0
        if not self.held_flow and not repeats:
            for path in torch.from_numpy(motion.path)[:2]:
                p, near = first_return(path)
                # on a circle orbits come near again and again: a cycle ahead attracts along the orbit as well
                values, errors = motion.exponents
                if not p and (not near or not values[0] < -max(5 * errors[0], 0.3 / motion.n_looks)):
                    continue
                made = self._recurrence(path[-1], (p or near[-1]) * strobe.pace)
                if made is not None and not made.neutral:
                    here = [i for i in orbits.tolist() if made.holds(self.x[i], 0.05)] or orbits[:1].tolist()
                    self._add_cycle(made, torch.tensor(here))
                    return 0.0 if len(here) == len(orbits) else float(motion.transient)
        verdict = motion.verdict(final)
        if verdict.kind == "unresolved" or (verdict.wait > motion.transient and not final):
            for i in orbits.tolist():
                self.doubts[i] = verdict
            return max(verdict.wait, 4 * motion.transient)
        attractor = self._attractor(strobe, verdict, motion)
        cloud = motion.path.reshape(-1, motion.path.shape[-1])
        for k, known in self.clouds.items():
            if _alike(self.found[k], attractor) and _one_set(attractor.kind, known, cloud):
                self.owner[orbits] = k
                return 0.0
        self.clouds[self._give(attractor, orbits)] = cloud
        return 0.0

    def _attractor(self, strobe: Strobe, verdict: Verdict, motion: Motion) -> Attractor:
        values, errors = (torch.from_numpy(np.asarray(v)) for v in motion.exponents)
        time = strobe.time
        if verdict.kind == "circle" and self.held_flow:
            cycle = cycle_of_flow(strobe, motion.path[0], verdict.period, self._time(self.looks), self.n_exponents)
            if cycle is not None:
                return cycle
        circle = verdict.kind == "circle"
        return Attractor(
            "cycle" if circle and self.held_flow else verdict.kind,
            torch.from_numpy(np.ascontiguousarray(verdict.x)),
            0.0,
            0,
            period=verdict.period * time,
            period_error=verdict.period_error * time,
            rotations=tuple(f / time for f in verdict.rotations),
            exponents=values / time,
            exponent_errors=errors / time,
            multipliers=(values * verdict.period).exp().to(torch.complex128)
            if circle
            else torch.zeros(0, dtype=torch.complex128),
            resolution=verdict.resolution,
            time_scale=self._time(self.looks) + motion.n_looks * time,
            dimension=verdict.dimension,
            note=verdict.note,
        )

    def _name_the_rest(self) -> None:
        left = self.moving
        if not len(left):
            return
        notes: dict[int, list[int]] = {}
        for i in left.tolist():
            notes.setdefault(id(self.doubts.get(i)), []).append(i)
        for members in notes.values():
            doubt = self.doubts.get(members[0])
            x = self.x[members] if doubt is None or doubt.x is None else torch.from_numpy(np.ascontiguousarray(doubt.x))
            note = "It was not looked at." if doubt is None else doubt.note
            self._give(
                Attractor("unresolved", x, 0.0, 0, time_scale=self._time(self.looks), note=note), torch.tensor(members)
            )

    def _time(self, looks: float) -> float:
        return looks * self.strobe.time


def _alike(a: Attractor, b: Attractor) -> bool:
    """Whether two attractors have the same kind, period and exponents, within errors."""
    if a.kind != b.kind or a.x.shape[1] != b.x.shape[1]:
        return False
    if a.kind in ("circle", "cycle"):
        return abs(a.period - b.period) <= 5 * (a.period_error + b.period_error) + 1e-4 * a.period
    errors = a.exponent_errors + b.exponent_errors
    tolerance = 5 * errors + 0.1 * a.exponents.abs() + 1e-3 * a.exponents[torch.isfinite(a.exponents)].abs().max()
    near = (a.exponents - b.exponents).abs() <= tolerance
    return bool((near | (a.exponents == b.exponents))[:2].all())


def _one_set(kind: str, a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two clouds of states fill one set, as far as clouds tell: tori and chaos are filled thinly."""
    other, own = apart(a, b)
    return other <= {"torus": max(0.06, 2 * own), "chaos": max(0.03, 1.5 * own)}.get(kind, 0.01)
