"""Epochs: the states, inputs and fixed points of a network in one part of its trials, by condition.

A network that solves a task with several conditions (rules, contexts) and named epochs (stimulus, memory, response) has
several flows, one for the input that is held in each epoch of each condition. `Epochs` gives the states visited there,
the held input, the fixed points under it, how they change on the way to the input of another epoch, and how far two
conditions use the same subspace.
"""

from __future__ import annotations

from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_choice, check_int, check_number
from conjugacy.analysis._given import counted, is_path, items_of
from conjugacy.analysis.alignment_index import alignment_index
from conjugacy.runs.run import Run
from conjugacy.similarity.samples import kind_of
from conjugacy.system import System

if TYPE_CHECKING:
    import pandas as pd

    from conjugacy.analysis.analysis import Analysis
    from conjugacy.dynamics import FixedPoints
    from conjugacy.dynamics.continuation import InputPath

Place = tuple[str | int, str]  # condition, epoch


class Epochs:
    """The trials of one phase of an analysis, by condition and epoch.

    Conditions are named by the task's `condition_names` where it has them, else by their numbers.

    Parameters
    ----------
    analysis : Analysis
    phase : str
        "train", "val", "all" or "test".

    Attributes
    ----------
    names : tuple of str
        The epochs.
    conditions : dict of str to int
        Name and number of each condition that occurs.

    Raises
    ------
    ValueError
        If the trials have no epochs.
    """

    def __init__(self, analysis: Analysis, phase: str = "val"):
        if isinstance(analysis, type) or not isinstance(getattr(analysis, "run", None), Run):
            hint = " Use Analysis(run).epochs()." if isinstance(analysis, Run) else ""
            hint = " A run folder is loaded by conjugacy.load(path)." if is_path(analysis) else hint
            raise TypeError(f"`analysis`: expected an Analysis, got {kind_of(analysis)}.{hint}")
        self.analysis, self.phase = analysis, phase
        self.trials = analysis.trials(phase)
        self.latents = analysis.latents(phase)
        if not self.trials.epochs:
            raise ValueError(
                f"`analysis`: expected trials with epochs, got {type(analysis).__name__} of {analysis.run.task.name}, "
                "which has none. Use its trials as a whole."
            )
        self.names = tuple(self.trials.epochs)
        numbers = self.trials.conditions.unique().tolist()
        words = getattr(analysis.run.task, "condition_names", None)
        self.conditions = {str(words[k]) if words else str(k): k for k in numbers}

    def table(self) -> pd.DataFrame:
        """Number of trials and mean duration (s) of every epoch, one row per condition; NaN where it does not occur."""
        import pandas as pd

        rows = {}
        for condition, number in self.conditions.items():
            chosen = self.trials.conditions == number
            row: dict[str, Any] = {"trials": int(chosen.sum())}
            for name, edges in self.trials.epochs.items():
                steps = (edges[chosen, 1] - edges[chosen, 0]).double()
                row[name] = self.analysis.run.task.dt * float(steps[steps > 0].mean()) if (steps > 0).any() else np.nan
            rows[condition] = row
        return pd.DataFrame.from_dict(rows, orient="index")

    def rows(self, condition: str | int | None, epoch: str) -> Tensor:
        """Indices of the trials of a condition (None: of all) in which the epoch occurs."""
        check_choice("epoch", epoch, self.names)
        edges = self.trials.epochs[epoch]
        there = edges[:, 1] > edges[:, 0]
        if condition is not None:
            there &= self.trials.conditions == self._number(condition)
        found = there.nonzero()[:, 0]
        if not len(found):
            raise ValueError(
                f"`epoch`: expected one that occurs in condition {condition!r} in phase {self.phase!r}, got {epoch!r}. "
                "`table()` shows which do."
            )
        return found

    def system(self, condition: str | int | None, epoch: str) -> System:
        """The network on that epoch alone, as a System: trajectories and inputs, with step, cell and readout.

        What `dynamics` and all measures take. In closed loop the inputs are what the network sees: what it observes of
        its plant, then the task's inputs.
        """
        whole = self.analysis.run.system(self.trials)
        assert whole.inputs is not None
        name = f"{self.analysis.name}, {'all' if condition is None else self._name(condition)}, {epoch}"
        spans = [(k, *self.trials.epochs[epoch][k].tolist()) for k in self.rows(condition, epoch).tolist()]
        lengths = torch.tensor([stop - start for _, start, stop in spans])
        pad = torch.nn.utils.rnn.pad_sequence
        return System(
            name,
            pad([self.latents[k, start:stop] for k, start, stop in spans], batch_first=True),
            pad([whole.inputs[k, start:stop] for k, start, stop in spans], batch_first=True),
            lengths,
            whole.step,
            whole.cell,
            whole.readout,
            whole.dt,
            output_range=self._output_range,
        )

    @cached_property
    def _output_range(self) -> Tensor:
        inside = torch.arange(self.trials.n_timesteps) < self.trials.lengths[:, None]
        outputs = self.analysis.outputs(self.phase)[inside].double()
        outputs = outputs[:: max(1, len(outputs) // 20_000)]
        low, high = outputs.quantile(0.05, 0), outputs.quantile(0.95, 0)
        return high - low

    def states(self, condition: str | int | None, epoch: str) -> Tensor:
        """The states visited in that epoch, (sample, unit)."""
        rows = self.rows(condition, epoch)
        start, stop = self.trials.epochs[epoch][rows].T
        step = torch.arange(self.latents.shape[1])
        return self.latents[rows][(step >= start[:, None]) & (step < stop[:, None])]

    def inputs(self, condition: str | int, epoch: str, trial: int | None = None) -> Tensor:
        """The noise-free input (input,) that is held in an epoch.

        Parameters
        ----------
        condition, epoch
        trial : int, optional
            Which of the trials of that condition and epoch, from 0. Needed where their inputs differ, as while a
            stimulus is on.

        Raises
        ------
        ValueError
            If no trial is named and the inputs differ between trials, or if the input of the trial is not held.
        """
        rows = self.rows(condition, epoch)
        if trial is not None:
            rows = rows[[check_int("trial", trial, 0, len(rows) - 1, f"{epoch!r} has {counted(len(rows), 'trial')}.")]]
        held = [self.trials.true_inputs[k, slice(*self.trials.epochs[epoch][k])] for k in rows.tolist()]
        first = held[0][0]
        for k, u in enumerate(held):
            if not torch.allclose(u, u[:1], atol=1e-5):
                raise ValueError(
                    f"`epoch`: the input of {self._name(condition)!r} changes during {epoch!r} (trial {trial or k}). "
                    "Fixed points need an input that is held; name another epoch."
                )
            if not torch.allclose(u[0], first, atol=1e-5):
                raise ValueError(
                    f"`trial`: the inputs of {self._name(condition)!r} during {epoch!r} differ between trials. "
                    f"Name one of its {len(rows)} trials, for example trial=0."
                )
        return first

    def fixed_points(
        self, condition: str | int, epoch: str, trial: int | None = None, n_inits: int = 1024, seed: int = 0, **options
    ) -> FixedPoints:
        """Fixed points under the input of an epoch, searched from the states that are visited in it.

        Parameters
        ----------
        condition, epoch, trial
            See `inputs`.
        n_inits, seed, **options
            See `conjugacy.dynamics.fixed_points`.
        """
        from conjugacy.dynamics import fixed_points

        self._check_open_loop()
        held = self.inputs(condition, epoch, trial)
        return fixed_points(self.system(condition, epoch), None, held, n_inits, seed, **options)

    def path(
        self,
        start: Place,
        stop: Place,
        n_nodes: int = 11,
        *,
        trials: tuple[int | None, int | None] = (None, None),
        **options: Any,
    ) -> InputPath:
        """Fixed points while the input changes from that of one epoch to that of another, of any conditions.

        Parameters
        ----------
        start, stop : (condition, epoch)
        n_nodes : int
            Inputs on the straight line between the two, the ends included.
        trials : pair of int, optional
            Trials whose inputs are meant, see `inputs`.
        **options
            See `conjugacy.dynamics.input_path`. By default the search starts from the states of both epochs.
        """
        from conjugacy.dynamics import input_path

        self._check_open_loop()
        start, stop = self._place("start", start), self._place("stop", stop)
        chosen = items_of("trials", trials, "two trial numbers")
        if len(chosen) != 2:
            raise ValueError(f"`trials`: expected two numbers (or None), got {kind_of(trials)}.")
        ends = [self.inputs(*place, trial) for place, trial in zip((start, stop), chosen)]
        visited = torch.cat([self.states(*start), self.states(*stop)])
        system = self.analysis.run.system(self.trials)
        return input_path(system, *ends, n_nodes, **{"x0": visited, **options})

    def shared_subspaces(self, epoch: str, variance: float = 0.9) -> pd.DataFrame:
        """How much of the variance of one condition lies in the subspace of another, during one epoch.

        Entry (a, b) is the variance of the states of condition a in the first k principal components of condition b,
        over the variance in its own first k: 1 for equal subspaces, about k / D for unrelated ones (alignment index,
        Elsayed et al., Nat. Commun. 7:13239, 2016, eq. 1). k is the number of components that hold a share `variance`
        in b, at least.

        Parameters
        ----------
        epoch : str
        variance : float
            In (0, 1].

        Returns
        -------
        DataFrame (condition, condition)
            Only conditions in which the epoch occurs; 1 on the diagonal.
        """
        import pandas as pd

        check_number("variance", variance, 0, 1, open_low=True)
        check_choice("epoch", epoch, self.names)
        edges = self.trials.epochs[epoch]
        occurring = self.trials.conditions[edges[:, 1] > edges[:, 0]].unique().tolist()
        names = [name for name, k in self.conditions.items() if k in occurring]
        size = 2 * (self.latents.shape[2],)  # torch gives a number for one unit
        covariances = [torch.cov(self.states(name, epoch).double().T).reshape(size) for name in names]
        shares = np.array([[alignment_index(a, b, variance) for b in covariances] for a in covariances])
        rows, columns = pd.Index(names, name="states of"), pd.Index(names, name="subspace of")
        return pd.DataFrame(shares, rows, columns)

    def _check_open_loop(self) -> None:
        run = self.analysis.run
        if run.network.input_size != self.trials.inputs.shape[-1]:
            raise ValueError(
                f"`analysis`: expected a network whose inputs are held during an epoch, got {run.name}, which also "
                "sees its arm move. Use rest_points(run), or fixed_points(run.coupled_system()) for both together."
            )

    def _place(self, name: str, place: Place) -> Place:
        pair = items_of(name, place, "(condition, epoch)")
        if len(pair) != 2:
            raise ValueError(f"`{name}`: expected (condition, epoch), got {kind_of(place)}.")
        check_choice(f"{name}[1]", pair[1], self.names)
        return self._name(pair[0], f"{name}[0]"), pair[1]

    def _number(self, condition: str | int, argument: str = "condition") -> int:
        whole = isinstance(condition, Integral) and not isinstance(condition, bool)
        if whole and int(condition) in self.conditions.values():
            return int(condition)
        return self.conditions[check_choice(argument, condition, self.conditions)]

    def _name(self, condition: str | int, argument: str = "condition") -> str:
        number = self._number(condition, argument)
        return next(name for name, k in self.conditions.items() if k == number)

    def __repr__(self) -> str:
        return f"Epochs({self.analysis.name}: {', '.join(self.names)} x {len(self.conditions)} conditions)"
