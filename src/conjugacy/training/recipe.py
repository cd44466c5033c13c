"""The recipe: how a network is trained from nothing to having learned its task.

Fresh trials at every step, short ones first and whole ones last; Adam with a one-cycle learning rate (Smith & Topin
2019, arXiv:1708.07120) and clipped gradients (Pascanu et al. 2013, arXiv:1211.5063); the weights that are scored and
kept are averages over the last steps (Polyak & Juditsky 1992, SIAM J Control Optim 30:838, with exponential weights).
The figures behind the defaults are in docs/training.md.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from numbers import Real
from typing import Any

from conjugacy._check import check_int, check_number
from conjugacy.networks.sequence import check_rollout

# settings that saved recipes may lack; their defaults are what was done before
_LATER = ("recurrent_decay", "calm_share", "stop_from")


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes
    ----------
    steps : int
        Gradient steps at most.
    batch_size : int
        Fresh trials per step.
    learning_rate : float
        Peak of the one-cycle schedule.
    warmup : float
        Share of the steps in which the learning rate rises to its peak.
    clip : float
        Largest norm of the gradient.
    weight_decay : float
        L2 penalty in Adam, on all parameters.
    recurrent_decay : float
        Decoupled decay of the recurrent weights (Loshchilov & Hutter 2019, arXiv:1711.05101), those of
        `Network.recurrent_weights`: before each step they are multiplied by 1 - learning rate * `recurrent_decay`. It
        keeps gates from saturating, so that memories are fixed points and not plateaus (docs/training.md).
    averaging : float
        The weights that are scored and kept are w' = a w' + (1 - a) w after each step, with a = `averaging`, in [0, 1);
        with 0 they are those of the last step. Until step 9 / (1 - a), a is (1 + step) / (10 + step).
    short_timesteps : int
        Length of the first trials; trials that are not longer are never cut.
    short_share : float
        Share of the steps, the first ones, that see short trials; with 0 all see whole ones.
    whole_share : float
        Share of the steps, the last ones, that see whole trials. Those between see the geometric mean of both lengths.
    calm_share : float
        Share of the trials, once they are no longer short, in which less happens and more is held, for tasks whose
        `training_trials` takes ``calm``: what is held for long has to be held at a fixed point.
    eval_every : int
        Steps between two looks at the validation trials.
    stop_accuracy, stop_r2 : float
        Training has learned, and stops, once both are reached on the validation trials.
    stop_from : float
        Share of the steps before which it does not stop, learned or not; with 1 it goes through all of them.
    select : str
        The score on the validation trials by which the best weights are chosen: "r2", "accuracy" or one of the task's
        metrics; with a minus before it, the smallest is best.
    rollout : {"auto", "plain"}
        How networks are run: the fastest way there is, or one step after the other.
    """

    steps: int = 800
    batch_size: int = 64
    learning_rate: float = 1e-2
    warmup: float = 0.3
    clip: float = 1.0
    weight_decay: float = 0.0
    recurrent_decay: float = 0.0
    averaging: float = 0.98
    short_timesteps: int = 100
    short_share: float = 0.4
    whole_share: float = 0.25
    calm_share: float = 0.0
    eval_every: int = 25
    stop_accuracy: float = 0.995
    stop_r2: float = 0.98
    stop_from: float = 0.0
    select: str = "r2"
    rollout: str = "auto"

    def __post_init__(self):
        for name in ("steps", "batch_size", "short_timesteps", "eval_every"):
            self._set(name, check_int(name, getattr(self, name), 1))
        for name in ("learning_rate", "clip"):
            self._set(name, check_number(name, getattr(self, name), 0, open_low=True))
        self._set("weight_decay", check_number("weight_decay", self.weight_decay, 0))
        highest = 1 / self.learning_rate
        hint = "Times the learning rate, at most 1."
        self._set("recurrent_decay", check_number("recurrent_decay", self.recurrent_decay, 0, highest, hint=hint))
        self._set("averaging", check_number("averaging", self.averaging, 0, 1 - 1e-6))
        for name in ("warmup", "short_share", "whole_share", "calm_share", "stop_from"):
            self._set(name, check_number(name, getattr(self, name), 0, 1))
        for name in ("stop_accuracy", "stop_r2"):
            self._set(name, _bound(name, getattr(self, name)))
        if not isinstance(self.select, str) or not self.select:
            raise ValueError(f"`select`: expected the name of a score, for example 'r2', got {self.select!r}.")
        check_rollout(self.rollout)

    def _set(self, name: str, value: float) -> None:
        object.__setattr__(self, name, value)  # a plain number in place of NumPy's

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of gradient step 0 ... steps - 1: a cosine up to the peak, one down to 1/1000 of it."""
        up = max(1.0, self.warmup * self.steps)
        if step < up:
            low, high, phase = 0.04, 1.0, step / up
        else:
            low, high, phase = 1e-3, 1.0, 1 - (step - up) / max(1.0, self.steps - up)
        return self.learning_rate * (low + (high - low) * 0.5 * (1 - math.cos(math.pi * phase)))

    def averaging_at(self, step: int) -> float:
        """Share of the old average in the new one after gradient step `step`: short memories while all is in motion."""
        return min(self.averaging, (1 + step) / (10 + step))

    def timesteps_at(self, step: int, n_timesteps: int) -> int:
        """How many steps of each trial gradient step `step` sees."""
        short = min(self.short_timesteps, n_timesteps)
        if step < self.short_share * self.steps:
            return short
        whole = not self.short_share or step >= (1 - self.whole_share) * self.steps
        return n_timesteps if whole else round(math.sqrt(short * n_timesteps))

    @classmethod
    def for_task(cls, task: Any, network: Any = None) -> Recipe:
        """The defaults, with the settings that the task names for this network or for all.

        A task may have ``recipe_for(network)``, which gives them as a dict, or an attribute `recipe`, a dict.
        """
        own = getattr(task, "recipe_for", None)
        return cls(**(getattr(task, "recipe", {}) if own is None or network is None else own(network)))

    def as_begun(self, task: Any, network: Any, saved: dict) -> Recipe:
        """The recipe of a training that was begun with a former recipe of the task, if `self` is the present one of it.

        Else a version that brings another recipe would not know the trainings that were begun before. Where the task's
        ``former_recipes`` (dicts like `recipe`) differ from the present one, `saved` may differ in the same way.
        """
        saved, now = self.completed(saved), self.as_dict()
        default = self.for_task(task, network).as_dict()
        for former in getattr(task, "former_recipes", ()):
            then = self.completed(type(self)(**former).as_dict())
            kept = {k: then[k] if now[k] == default[k] else now[k] for k in now}
            if kept == saved:
                return type(self)(**saved)
        return self

    @classmethod
    def completed(cls, saved: dict) -> dict:
        """A recipe that was saved, with the settings that came later: as they were done then, which is not at all."""
        return {**{name: getattr(cls, name) for name in _LATER}, **saved}

    def as_dict(self) -> dict:
        """The recipe as plain numbers."""
        return asdict(self)

    @classmethod
    def names(cls) -> list[str]:
        """Names of the settings."""
        return [f.name for f in fields(cls)]


def _bound(name: str, value: Any) -> float:
    """A score to be reached; inf, which none reaches, is one."""
    if isinstance(value, Real) and not isinstance(value, bool) and math.isinf(value):
        return float(value)
    return check_number(name, value, hint="It is the score at which training stops.")
