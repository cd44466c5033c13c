"""Processing: what can be done to a recording. Each step returns a new recording, which remembers the step."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from conjugacy._check import check_choice, check_flag, check_int, check_list, check_number, shown
from conjugacy.recordings import averages, filters
from conjugacy.recordings.provenance import Step, milliseconds
from conjugacy.recordings.signal import Truth

if TYPE_CHECKING:
    from conjugacy.recordings.recording import Recording

_NAMED = 8  # conditions named in a message


class Processing:
    """Steps from spikes to states; `Recording` inherits them."""

    def smooth(self, sd: float, causal: bool = False) -> Self:
        """Smoothed in time with a Gaussian; counts become rates (spikes/s).

        Parameters
        ----------
        sd : float
            Standard deviation of the Gaussian (s), > 0.
        causal : bool
            Use the half of the Gaussian that looks back only.
        """
        this = _recording(self)
        check_number("sd", sd, 0, open_low=True, hint="It is a standard deviation in seconds.")
        check_flag("causal", causal)
        longest = this.bin_size * this.lengths.max()
        if sd > longest:
            raise ValueError(
                f"`sd`: expected at most the longest trial, {longest:g} s, got {sd:g} s. It is in seconds."
            )
        x = filters.smooth(this.values, this.lengths, sd / this.bin_size, causal)
        values, kind = (x / this.bin_size, "rates") if this.kind == "counts" else (x, this.kind)
        text = f"smoothed with a {'causal ' if causal else ''}Gaussian (SD {milliseconds(sd)})"
        return _done(self, "smooth", {"sd": sd, "causal": causal}, text, values=values, kind=kind)

    def bin(self, bin_size: float) -> Self:
        """Bins joined to wider ones of `bin_size` s, a multiple of the present width; counts add up, all else averages.

        Bins left over at the end of a trial are dropped; ValueError if the width is no multiple.
        """
        this = _recording(self)
        check_number("bin_size", bin_size, 0, open_low=True, hint="It is the width of a bin in seconds.")
        n = round(bin_size / this.bin_size)
        if n < 1 or abs(n * this.bin_size - bin_size) > 1e-6 * bin_size:
            hint = "Use resample(dt) for rates." if this.kind != "counts" else ""
            present = f"{this.bin_size:g} s"
            raise ValueError(
                f"`bin_size`: expected a multiple of the present {present}, got {bin_size:g} s. {hint}".rstrip()
            )
        _check_shortest("bin_size", this, bin_size)
        sums, lengths = filters.join_bins(this.values, this.lengths, n)
        values = sums if this.kind == "counts" else sums / n

        def means(x: np.ndarray) -> np.ndarray:
            return filters.join_bins(x, this.lengths, n)[0] / n

        text = f"bins of {milliseconds(bin_size)}"
        changed = {"values": values, "lengths": lengths, "bin_size": n * this.bin_size, **_with(this, means)}
        return _done(self, "bin", {"bin_size": bin_size}, text, **changed)

    def resample(self, dt: float) -> Self:
        """Rates or other activity in steps of `dt` s; see `filters.resample`. Counts are refused: smooth them first."""
        this = _recording(self)
        check_number("dt", dt, 0, open_low=True, hint="It is a time step in seconds.")
        if this.kind == "counts":
            raise ValueError("`recording`: expected rates to resample, got counts. Smooth them first, or use bin().")
        _check_shortest("dt", this, dt)
        ratio = dt / this.bin_size
        values, lengths = filters.resample(this.values, this.lengths, ratio)

        def again(x: np.ndarray) -> np.ndarray:
            return filters.resample(x, this.lengths, ratio)[0]

        changed = {"values": values, "lengths": lengths, "bin_size": float(dt), **_with(this, again)}
        return _done(self, "resample", {"dt": dt}, f"resampled to {milliseconds(dt)}", **changed)

    def sqrt(self) -> Self:
        """Square roots, which make the variance of counts about the same at all rates; negative activity is refused."""
        this = _recording(self)
        if (this.values < 0).any():
            n = int((this.values < 0).sum())
            raise ValueError(f"`recording`: expected activity >= 0 to take roots of, got {n} negative values.")
        return _done(self, "sqrt", {}, "square root", values=np.sqrt(this.values), kind="activity")

    def soft_normalise(self, constant: float = 5.0) -> Self:
        """Each unit divided by its range plus `constant` (spikes/s for rates; Churchland et al. 2012), > 0."""
        this = _recording(self)
        check_number("constant", constant, 0, open_low=True, hint="It is in spikes/s for rates.")
        if this.kind == "counts":
            raise ValueError("`recording`: expected rates to normalise, got counts. Smooth them first.")
        scale = filters.ranges(this.values, this.lengths) + constant
        errors = None if this.standard_errors is None else this.standard_errors / scale
        text = f"divided by range + {constant:g}"
        changed = {"values": this.values / scale, "kind": "activity", "standard_errors": errors}
        return _done(self, "soft_normalise", {"constant": constant}, text, **changed)

    def average(self, by: str = "condition", min_trials: int | None = None) -> Self:
        """Means over the trials of each condition, or over all trials; counts become rates.

        Parameters
        ----------
        by : {"condition", "all"}
            What is averaged over.
        min_trials : int, optional
            Keep bins in which at least so many trials of a condition still run. None: all of them, so that an average
            ends with the shortest trial.

        Returns
        -------
        Recording
            One trial a condition, in the order of the labels, with `standard_errors` (NaN for conditions with one
            trial) and `n_averaged`.

        Raises
        ------
        ValueError
            If there are no conditions, or no condition has more than one trial.
        """
        this = _recording(self)
        check_choice("by", by, ("condition", "all"))
        if min_trials is not None:
            check_int("min_trials", min_trials, 1)
        labels, group = np.unique(
            _conditions(this) if by == "condition" else np.zeros(this.n_trials, int), return_inverse=True
        )
        x = this.values / this.bin_size if this.kind == "counts" else this.values
        found = averages.group_means(x, this.lengths, group, min_trials)
        if (found.counts == 1).all():
            raise ValueError(
                f"`recording`: expected several trials of a condition, got one of each of {len(labels)}. They may be "
                "averages already."
            )
        single = [str(label) for label in labels[found.counts == 1]]
        if single:
            more = ", ..." if len(single) > _NAMED else ""
            text = f"conditions with one trial, whose standard errors are unknown: {', '.join(single[:_NAMED])}{more}."
            warnings.warn(f"{this.name}: {text}", stacklevel=2)

        def means(x: np.ndarray) -> np.ndarray:
            return averages.group_means(x, this.lengths, group, min_trials).mean

        behaviour = {n: averages.group_means_of_signal(s, group, min_trials) for n, s in this.behaviour.items()}
        changed = {
            "values": found.mean,
            "lengths": found.lengths,
            "kind": "rates" if this.kind == "counts" else this.kind,
            "conditions": labels if by == "condition" else None,
            "behaviour": behaviour,
            "standard_errors": found.standard_error,
            "n_averaged": found.counts,
            **_with(this, means),
        }
        span = (
            f"{found.counts.min()}" if len(set(found.counts)) == 1 else f"{found.counts.min()} to {found.counts.max()}"
        )
        text = f"means of {span} trials" + (f" in {len(labels)} conditions" if by == "condition" else "")
        return _done(self, "average", {"by": by, "min_trials": min_trials}, text, **changed)

    def remove_condition_independent(self) -> Self:
        """The activity without what all conditions share: bin by bin, the mean over the means of the conditions."""
        this = _recording(self)
        labels, group = np.unique(_conditions(this), return_inverse=True)
        if len(labels) < 2:
            raise ValueError(f"`recording`: expected at least 2 conditions, got only {labels[0]}.")
        shared = averages.condition_independent(this.values, this.lengths, group)
        values = np.where(this.valid[..., None], this.values - shared, 0.0)
        changed = {"values": values, "kind": "activity", "standard_errors": this.standard_errors}
        return _done(self, "remove_condition_independent", {}, "mean over conditions removed", **changed)

    def window(self, start: float, stop: float) -> Self:
        """The bins from `start` up to `stop` (s from the event), rounded to whole bins; behaviour is cut alike.

        ValueError if a trial has no bin there.
        """
        this = _recording(self)
        check_number("start", start)
        check_number("stop", stop, start, open_low=True)
        first = max(round((start - this.start) / this.bin_size), 0)
        last = min(round((stop - this.start) / this.bin_size), this.values.shape[1])
        lengths = np.minimum(this.lengths, last) - first
        if (lengths < 1).any():
            k = int(np.argmax(lengths < 1))
            end = this.start + this.lengths[k] * this.bin_size
            raise ValueError(
                f"`start`, `stop`: expected a window in which every trial has a bin, got {start:g} to {stop:g} s; "
                f"trial {k} lasts from {this.start:g} to {end:g} s. Leave it out with select(trials=...)."
            )

        def cut(x: np.ndarray) -> np.ndarray:
            return x[:, first:last]

        low, high = this.start + first * this.bin_size, this.start + last * this.bin_size
        changed = {
            "values": cut(this.values),
            "lengths": lengths,
            "start": low,
            "behaviour": {n: s.between(low, high) for n, s in this.behaviour.items()},
            "standard_errors": None if this.standard_errors is None else cut(this.standard_errors),
            **_with(this, cut),
        }
        return _done(self, "window", {"start": start, "stop": stop}, f"window {low:g} to {high:g} s", **changed)

    def select(self, units: Any = None, region: Any = None, conditions: Any = None, trials: Any = None) -> Self:
        """Some of the units and trials.

        Parameters
        ----------
        units : sequence of str or int, or boolean mask (unit,), optional
            Labels, or indices.
        region : str or sequence of str, optional
            Units of these regions.
        conditions : label or sequence of labels, optional
            Trials of these conditions.
        trials : sequence of int, or boolean mask (trial,), optional
            Indices of trials.

        Raises
        ------
        ValueError
            If something is not there, or nothing is left.
        """
        this = _recording(self)
        keep = np.arange(this.n_units) if units is None else _indices("units", units, this.n_units, this.units)
        settings: dict[str, Any] = {} if units is None else {"units": keep.tolist()}
        if region is not None:
            names = [region] if isinstance(region, str) else check_list("region", region, "names of regions")
            for r in names:
                check_choice("region", r, sorted(set(this.regions or ())), "" if this.regions else "It has no regions.")
            keep = keep[np.isin(np.array(this.regions)[keep], names)]
            settings["region"] = names
        chosen = np.arange(this.n_trials) if trials is None else _indices("trials", trials, this.n_trials)
        settings |= {} if trials is None else {"trials": chosen.tolist()}
        if conditions is not None:
            known = _conditions(this)
            wanted = [conditions] if isinstance(conditions, str) or np.ndim(conditions) == 0 else list(conditions)
            for label in wanted:
                if label not in known:
                    there = ", ".join(map(str, np.unique(known)))
                    raise ValueError(
                        f"`conditions`: expected some of {there}, got {shown(label)} in {shown(conditions)}."
                    )
            chosen = chosen[np.isin(known[chosen], wanted)]
            settings["conditions"] = [w.item() if isinstance(w, np.generic) else w for w in wanted]
        if not len(keep) or not len(chosen):
            what = "unit" if not len(keep) else "trial"
            raise ValueError(f"`recording`: expected at least one {what} to be left, got none. Ask for more.")
        parts = [f"{len(keep)} of {this.n_units} units"] if len(keep) < this.n_units else []
        parts += [f"{len(chosen)} of {this.n_trials} trials"] if len(chosen) < this.n_trials else []

        def some(x: np.ndarray) -> np.ndarray:
            return x[chosen]

        def some_of_both(x: np.ndarray | None) -> np.ndarray | None:
            return None if x is None else x[chosen][..., keep]

        changed = {
            "values": some_of_both(this.values),
            "lengths": this.lengths[chosen],
            "conditions": None if this.conditions is None else this.conditions[chosen],
            "behaviour": {n: s.trials(chosen) for n, s in this.behaviour.items()},
            "units": tuple(this.units[i] for i in keep),
            "regions": None if this.regions is None else tuple(this.regions[i] for i in keep),
            "held_out": tuple(int(np.flatnonzero(keep == i)[0]) for i in this.held_out if i in keep),
            "standard_errors": some_of_both(this.standard_errors),
            "n_averaged": None if this.n_averaged is None else this.n_averaged[chosen],
            **_with(this, some),
        }
        if isinstance(changed["truth"], Truth):
            changed["truth"] = changed["truth"].units(keep)
        return _done(self, "select", settings, " and ".join(parts) or "all units and trials", **changed)


def _recording(recording: Any) -> Recording:
    return cast("Recording", recording)


def _done(recording: Any, method: str, settings: Mapping[str, Any], text: str, **changed: Any) -> Any:
    this = _recording(recording)
    changed = {"standard_errors": None, **changed}
    steps = (*this.steps, Step(method, dict(settings), text))
    return replace(this, steps=steps, origin=this.origin or this, **changed)


def _with(this: Recording, change: Any) -> dict[str, Any]:
    """What goes along with the activity: inputs and truth."""
    inputs = None if this.inputs is None else change(this.inputs)
    return {"inputs": inputs, "truth": None if this.truth is None else this.truth.each(change)}


def _check_shortest(name: str, this: Recording, width: float) -> None:
    shortest = float(this.lengths.min() * this.bin_size)
    if width > shortest * (1 + 1e-9):
        raise ValueError(f"`{name}`: expected at most the shortest trial, {shortest:g} s, got {width:g} s.")


def _conditions(this: Recording) -> np.ndarray:
    if this.conditions is None:
        raise ValueError("`recording`: expected one with conditions, got none. Give conditions= when it is made.")
    return this.conditions


def _indices(name: str, given: Any, n: int, labels: Sequence[str] = ()) -> np.ndarray:
    given = [given] if isinstance(given, str | int) else given
    found = np.asarray(given)
    if found.dtype == bool and found.shape == (n,):
        return np.flatnonzero(found)
    if found.ndim == 1 and found.dtype.kind == "U" and labels:
        for label in found:
            check_choice(name, str(label), labels)
        return np.array([list(labels).index(str(label)) for label in found], dtype=np.int64)
    if found.ndim != 1 or found.dtype.kind not in "iu" or (len(found) and not (0 <= found.min() <= found.max() < n)):
        raise ValueError(f"`{name}`: expected indices in [0, {n - 1}], labels or a mask ({n},), got {shown(given)}.")
    if len(set(found.tolist())) < len(found):
        raise ValueError(f"`{name}`: expected each one once, got {shown(given)}.")
    return found.astype(np.int64)
