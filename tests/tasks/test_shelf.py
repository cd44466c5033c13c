"""What holds for every task of the shelf: the protocol, seeds, epochs, saving, scores at their two ends, messages."""

import inspect
import re

import pytest
import torch

from conjugacy import tasks
from conjugacy._config import build, describe
from conjugacy.tasks import (
    ChaoticDelayedMatching,
    ContextualIntegration,
    CyclingMemory,
    DelayedDiscrimination,
    PathIntegration,
    PhaseCodedMemory,
    PoissonClicks,
    SineWaveGenerator,
    validate,
)
from conjugacy.training import Recipe
from conjugacy.trials import Rollout

# every task whose trials have inputs with noise of one level and need nothing else to be made
OTHERS = {"Task", "GymnasiumTask", "RandomTarget", "MultiTask", "NBitFlipFlop"}
SHELF = [getattr(tasks, name) for name in tasks.__all__ if name[0].isupper() and name not in OTHERS]


@pytest.fixture(params=SHELF, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


def test_is_a_valid_task_with_and_without_noise(kind):
    validate(kind())
    for noise in (0.0, 0.3):
        task = kind(noise=noise)
        validate(task)
        trials = task.trials(3, 1)
        assert (trials.inputs - trials.true_inputs).any() == (noise > 0)


def test_trials_follow_from_the_seed_alone(kind):
    task = kind()
    first = task.trials(6, 3).digest()
    task.trials(50, 8)
    assert task.trials(6, 3).digest() == first == kind().trials(6, 3).digest()
    assert task.trials(6, 4).digest() != first


def test_epochs_follow_one_another_and_hold_every_step_that_counts(kind):
    task = kind()
    trials = task.trials(200, 0)
    edges = torch.stack(list(trials.epochs.values()), 1)
    assert (edges[:, 0, 0] == 0).all() and torch.equal(edges[:, 1:, 0], edges[:, :-1, 1])
    assert (edges[..., 0] < edges[..., 1]).all() and edges.max() == task.n_timesteps
    step = torch.arange(task.n_timesteps)
    assert not trials.mask[step >= edges[:, -1, 1:]].any()
    assert trials.mask.any(2).any(1).all()


def test_perfect_outputs_score_one_and_silence_or_the_opposite_scores_low(kind):
    task = kind()
    trials = task.trials(300, 5)
    perfect = task.success_rate(trials.targets, trials)
    assert set(perfect.values()) == {1.0}
    assert task.loss(Rollout(trials.targets, trials.targets), trials) == 0
    for wrong in (torch.zeros_like(trials.targets), -trials.targets):
        assert task.success_rate(wrong, trials)["accuracy"] < 0.1
        assert task.loss(Rollout(wrong, wrong), trials) > 0


def test_only_steps_that_count_are_scored(kind):
    task = kind()
    trials = task.trials(40, 2)
    elsewhere = torch.where(trials.mask, trials.targets, torch.full_like(trials.targets, 17.0))
    assert task.success_rate(elsewhere, trials)["accuracy"] == 1
    assert task.loss(Rollout(elsewhere, elsewhere), trials) == 0


def test_is_saved_and_built_again_by_its_arguments(kind):
    task = kind(dt=kind().dt / 2)
    again = build("task", describe(task), [kind])
    assert again.trials(4, 1).digest() == task.trials(4, 1).digest()


def test_its_recipe_is_one_and_shows_the_answer(kind):
    task = kind()
    recipe = Recipe.for_task(task)
    cut = task.trials(20, 0).first(recipe.timesteps_at(0, task.n_timesteps))
    assert cut.mask.any(2).any(1).all()


def test_names_its_source_and_is_exported(kind):
    text = inspect.getmodule(kind).__doc__
    assert re.search(r"\((19|20)\d\d\)", text), "a paper in the module's docstring"
    assert kind.__name__ in tasks.__all__


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PoissonClicks(rate=0), "`rate`: expected a number in (0, inf), got 0. It is in clicks per second."),
        (
            lambda: PoissonClicks(gammas=()),
            "`gammas`: expected a sequence of numbers, got none in (). They are sizes of log ratios of the rates.",
        ),
        (
            lambda: PoissonClicks(duration=(1.0, 0.5)),
            "`duration`: expected least <= greatest, got (1.0, 0.5). It is a duration in seconds.",
        ),
        (
            lambda: PoissonClicks(duration="long"),
            "`duration`: expected a number or a pair (least, greatest), got 'long'. It is a duration in seconds.",
        ),
        (
            lambda: SineWaveGenerator(frequency=(1.0, 40.0)),
            "`frequency`: expected two numbers in (0, 12.5] Hz, got (1.0, 40.0). A period needs at least four steps "
            "of `dt`, 0.02 s.",
        ),
        (lambda: SineWaveGenerator(n_frequencies=0), "`n_frequencies`: expected an integer >= 1, got 0."),
        (
            lambda: DelayedDiscrimination(min_difference=30.0),
            "`min_difference`: expected a number in (0, 24], got 30.0. It is in Hz, within the span of `frequency`.",
        ),
        (
            lambda: DelayedDiscrimination(frequency=(5, 5)),
            "`frequency`: expected two different numbers of Hz, got (5, 5).",
        ),
        (
            lambda: DelayedDiscrimination(delay=0.001),
            "`delay`: expected at least 1 steps of dt = 0.02 s, got 0.001 s. Lengthen it or shorten `dt`.",
        ),
        (
            lambda: ContextualIntegration(coherences=[0.1, -0.2]),
            "`coherences[1]`: expected a number in (0, inf), got -0.2. They are sizes of the mean evidence.",
        ),
        (
            lambda: ContextualIntegration(coherences=[]),
            "`coherences`: expected a sequence of numbers, got none in []. They are sizes of the mean evidence.",
        ),
        (lambda: PathIntegration(turning=0), "`turning`: expected a number in (0, inf), got 0. It is in rad/s."),
        (
            lambda: CyclingMemory(frequency=20.0),
            "`frequency`: expected a number in (0, 12.5], got 20.0. A turn needs four steps of `dt`, 0.02 s.",
        ),
        (
            lambda: PhaseCodedMemory(duration=0.6),
            "`duration`: expected a number in [0.65, inf), got 0.6. It is in seconds and holds `onset` "
            "(0.12, 0.24), `cue` (0.12, 0.16) and a `period` (0.125, 0.25).",
        ),
        (
            lambda: ChaoticDelayedMatching(objective="windw"),
            "`objective`: expected one of 'squared', 'window', got 'windw'. Did you mean 'window'?",
        ),
        (
            lambda: ChaoticDelayedMatching(dt=0),
            "`dt`: expected a number in (0, inf), got 0. It is the duration of a time step in seconds.",
        ),
        (
            lambda: CyclingMemory(noise=-1.0),
            "`noise`: expected a number in [0, inf), got -1.0. It is a standard deviation.",
        ),
        (
            lambda: PathIntegration().trials(0, 0),
            "`n`: expected an integer >= 1, got 0. It is the number of trials.",
        ),
        (lambda: PhaseCodedMemory().trials(1, -1), "`seed`: expected an integer >= 0, got -1."),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()
