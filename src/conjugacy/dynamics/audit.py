"""Is the set of fixed points complete? What the index sum and the hit counts establish, and what they do not.

Index. A map that takes a box into itself has Lefschetz number 1, hence the indices sign det(I - J) of its fixed
points, all isolated, sum to +1; a vector field pointing into the box likewise with sign det(-Df) (Poincare-Hopf). A
sum that differs proves that points are missing. A sum that agrees proves nothing: a missing pair of opposite index
leaves it unchanged.

Coverage. Starts drawn independently from one distribution reach the points like draws from an urn. With f1 points
reached once and f2 twice in n starts, the next start meets a point not seen with probability about f1 / n
(Good 1953), and at least f1 (f1 - 1) / (2 (f2 + 1)) points are unseen (Chao 1984, bias-corrected). This sees only
points that such starts can reach.
"""

from __future__ import annotations

from dataclasses import dataclass

from conjugacy._html import bullets, card


@dataclass(frozen=True)
class SearchRecord:
    """What a search did: all that the audit needs beside the points themselves.

    Attributes
    ----------
    n_starts : int
        Starts in all; `n_zero` reached a zero, `n_minimum` a local minimum of q that is none, `n_running` ran out of
        steps, `n_diverged` met values that are not finite.
    sample : tuple of int
        Hits per point among the `n_sample` independent starts (the first stage), in the order of the points.
    expected_index : int or None
        What the index sum must be, and `reason` why.
    rounds : int
        Rounds of continuation that were run.
    interrupted, exhausted : bool
        Stopped by the user; stopped by the budget of ``search="until_complete"``.
    n_orbits, n_unsettled : int
        Orbits that were followed, and how many of them settled on no fixed point.
    selection : bool
        Whether some of the points found have been left out since.
    saturated : bool
        Whether the search for exact points was cut short because most starts stalled where the state hardly moves.
    """

    n_starts: int = 0
    n_zero: int = 0
    n_minimum: int = 0
    n_running: int = 0
    n_diverged: int = 0
    n_sample: int = 0
    sample: tuple[int, ...] = ()
    expected_index: int | None = None
    reason: str = ""
    rounds: int = 0
    interrupted: bool = False
    exhausted: bool = False
    n_orbits: int = 0
    n_unsettled: int = 0
    selection: bool = False
    saturated: bool = False


@dataclass(frozen=True)
class Audit:
    """The verdict on completeness.

    Attributes
    ----------
    complete : bool or None
        True: index and coverage agree with a complete set. False: points are missing, or very likely so.
        None: cannot be told (no expected index, points that are not isolated, or unresolved ones).
    index_sum, expected_index : int or None
    unseen : float
        Chao's lower estimate of the number of points not found.
    coverage : float
        Good's estimate of the probability that one more independent start meets a point already known, in [0, 1].
    lines : tuple of str
        The same in words, what is established and what is not.
    """

    complete: bool | None
    index_sum: int | None
    expected_index: int | None
    unseen: float
    coverage: float
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def _repr_html_(self) -> str:
        known = {True: "yes, as far as index and coverage tell", False: "no", None: "cannot be told"}
        return card(f"Is the set of points complete? {known[self.complete]}", bullets(self.lines))


def unseen_points(sample: tuple[int, ...], n_known: int) -> float:
    """Chao's estimate of the number of points, less the `n_known` known, at least 0."""
    f1, f2 = sum(h == 1 for h in sample), sum(h == 2 for h in sample)
    seen = sum(h > 0 for h in sample)
    return max(0.0, seen + f1 * (f1 - 1) / (2 * (f2 + 1)) - n_known)


def well_covered(sample: tuple[int, ...], hits: list[int]) -> bool:
    """Whether hits speak for a complete set of len(hits) points.

    No unseen point is estimated, coverage is over 99 %, and no point was found by luck: every one was met twice by the
    independent starts, or three times in all. Points that independent starts hardly reach are likely to have fellows.
    """
    padded = [*sample, *[0] * (len(hits) - len(sample))]
    lucky = any(s < 2 and h < 3 for s, h in zip(padded, hits))
    return unseen_points(sample, len(hits)) < 0.5 and coverage(sample) > 0.99 and not lucky


def coverage(sample: tuple[int, ...]) -> float:
    """Good's estimate of the probability that the next draw is a point seen before; 0 without draws."""
    n = sum(sample)
    return 1 - sum(h == 1 for h in sample) / n if n else 0.0


@dataclass(frozen=True)
class Evidence:
    """What is known of a set of fixed points, beside how they were searched.

    Attributes
    ----------
    index, isolated, hits : list
        Of each of the N points that are judged.
    proven, sampled : int
        How many are certified by Newton-Kantorovich, and by a contraction test.
    distinct : bool
        Whether no two can be the same zero.
    n_slow, n_unresolved, n_held, n_far : int
        Points beside them: slow, unresolved, held, and beyond the reach of the search.
    shares : tuple of float
        Share of the orbits that end at each memory.
    """

    index: list[int]
    isolated: list[bool]
    hits: list[int]
    proven: int
    sampled: int
    distinct: bool
    n_slow: int
    n_unresolved: int
    n_held: int = 0
    n_far: int = 0
    shares: tuple[float, ...] = ()


def judge(record: SearchRecord, known: Evidence) -> Audit:
    """The audit of a set of fixed points; see the module docstring for the two arguments.

    The points are all that were found if it is known what their indices must sum to, else those within reach.
    """
    n = len(known.index)
    unseen, seen = unseen_points(record.sample, n), coverage(record.sample)
    continuum = n - sum(known.isolated)
    index_sum = None if continuum else sum(known.index)
    lines = [f"{n} fixed point{'s' * (n != 1)} from {record.n_starts} starts ({record.n_zero} reached one)."]
    if record.saturated:
        lines.append(
            "The search for exact points ended early: most starts stalled where the state hardly moves. What holds "
            "there is listed as held; horizon=None searches on for exact points."
        )
    if record.selection:
        lines = [f"A selection of {n} fixed points; only the whole set can be audited."]
        return Audit(None, index_sum, record.expected_index, unseen, seen, tuple(lines))
    complete = _index_verdict(record, index_sum, continuum, lines)
    covered = n == 0 or well_covered(record.sample[:n], known.hits)
    if not continuum:
        lines.append(
            f"Coverage: {seen:.1%} of further independent starts would meet a known point; estimated unseen points: "
            f"{unseen:.1f} (a lower estimate, for points that such starts can reach). "
            + (f"The rarest point was reached {min(known.hits)} times." if n else "")
        )
        complete = None if complete and (not covered or known.n_unresolved) else complete
        if not record.saturated:
            lines.append(_verdict(complete, covered, known.n_unresolved))
    if known.proven:
        lines.append(
            f"{known.proven} of {n} points are certified (Newton-Kantorovich): "
            "exactly one zero within each one's radius" + (", no two the same." if known.distinct else ".")
        )
    if known.sampled:
        lines.append(
            f"{known.sampled} of {n} points pass a sampled contraction test: evidence of one zero each, no proof."
        )
    if known.n_slow or known.n_unresolved:
        slow = f"{known.n_slow} slow points (minima of the speed, no zeros)"
        lines.append(f"Beside them {slow} and {known.n_unresolved} unresolved.")
    if known.n_held:
        lines.append(
            f"Beside the fixed points {known.n_held} held ones: no zeros, but states that rest for the horizon."
        )
    if known.shares:
        orbits = [round(share * record.n_orbits) for share in known.shares]
        once = sum(n == 1 for n in orbits)
        lines.append(
            f"{len(known.shares)} memories: {sum(orbits)} of {record.n_orbits} orbits from the data end at one of "
            f"them; estimated share of orbits that end at others: {once / max(1, sum(orbits)):.1%} (Good), as far as "
            "the data go. This is evidence, no proof."
        )
    if known.n_far:
        lines.append(
            f"{known.n_far} points lie farther from the data than the reach of the search; they are not counted."
        )
    if record.n_running or record.n_diverged:
        running = f"{record.n_running} start{'s' * (record.n_running != 1)}"
        lines.append(f"{running} ran out of steps, {record.n_diverged} met values that are not finite.")
    if record.n_unsettled:
        lines.append(
            f"{record.n_unsettled} of {record.n_orbits} orbits settled on no fixed point: they circle (`cycles` has "
            "what was found) or drift more slowly than they were followed."
        )
    if record.interrupted:
        lines.append("The search was interrupted: this is what was found until then.")
    if record.exhausted:
        lines.append("The budget of search='until_complete' ended before index and coverage agreed.")
    return Audit(complete, index_sum, record.expected_index, unseen, seen, tuple(lines))


def _index_verdict(record, index_sum, continuum, lines):
    if continuum:
        lines.append(f"{continuum} points are not isolated (a line, ring or fold): they cannot be counted by index.")
        return None
    if record.expected_index is None:
        lines.append(f"Index sum {index_sum:+d}; no condition is known that says what it must be.")
        return None
    if index_sum == record.expected_index:
        lines.append(f"Index sum {index_sum:+d}, as it must be ({record.reason}).")
        return True
    lines.append(
        f"Index sum {index_sum:+d}, but it must be {record.expected_index:+d} ({record.reason}): points are missing."
    )
    return False


def _verdict(complete, covered, n_unresolved):
    if complete:
        return "Complete as far as index and coverage tell; a missing pair of opposite index cannot be excluded."
    if complete is False:
        return "INCOMPLETE: search on with search='until_complete', more n_inits, or other x0."
    if not covered:
        return "Probably incomplete: points were reached too rarely. Search on with search='until_complete'."
    if n_unresolved:
        return f"Not established: {n_unresolved} unresolved points may be slow points, or pairs of fixed points."
    return "Coverage is high, but nothing independent confirms that the set is complete."
