import pytest
import torch

import conjugacy as cj
from conjugacy.analysis.generalisation import reach_conditions, with_masses
from conjugacy.arm import RigidTendonArm26
from conjugacy.tasks import RandomTarget

few = pytest.mark.filterwarnings("ignore:`n_trials`. with:UserWarning")


@pytest.fixture(scope="module")
def run():
    task = RandomTarget(max_ep_duration=0.75, proprioception_delay=0.01)
    return cj.train(task, cj.networks.GRU(4), steps=1, batch_size=2, progress=False)


@few
def test_every_condition_is_a_row_on_trials_that_differ_in_it_alone(run):
    table = cj.generalisation_table(run, n_trials=6, seed=3)
    assert list(table.index) == ["as trained", *reach_conditions(run.task)]
    assert {"r2", "accuracy", "end_error", "hold_error"} < set(table.columns)
    assert table["hold_error"].notna().all() and table["hold_error"].nunique() > 8
    assert table.equals(cj.generalisation_table(run, n_trials=6, seed=3))
    again = run.task.metrics(run.rollout(run.task.trials(6, 3)), run.task.trials(6, 3))
    assert table.loc["as trained", "hold_error"] == pytest.approx(again["hold_error"])


@few
def test_conditions_of_ones_own(run):
    wider = RandomTarget(max_ep_duration=0.8)
    table = cj.generalisation_table(
        run, {"thick air": {"force_field": "viscous", "field_strength": 30.0}, "w": wider}, 4
    )
    assert list(table.index) == ["as trained", "thick air", "w"]
    with pytest.raises(ValueError, match=r"`conditions`: RandomTarget takes .*, got feild too"):
        cj.generalisation_table(run, {"typo": {"feild": 1}}, 4)
    with pytest.raises(ValueError, match=r"`conditions`: expected 17 inputs and 6 outputs.*got 3 and 3 in 'bits'"):
        cj.generalisation_table(run, {"bits": cj.tasks.NBitFlipFlop()}, 4)


def test_metrics_without_a_trial_are_named(run):
    with pytest.warns(UserWarning, match=r"`n_trials`: with 2, no trial as trained counts for .*bump_peak"):
        table = cj.generalisation_table(run, {}, 2)
    assert table["bump_peak"].isna().all()


def test_a_task_with_nothing_to_vary_is_named(small_runs):
    from dataclasses import replace

    class Bare(cj.tasks.NBitFlipFlop):
        def __init__(self):
            super().__init__(n=2, n_timesteps=40)

    with pytest.raises(ValueError, match="`conditions`: expected a dict of changes for the task 2BFF, which has no"):
        cj.generalisation_table(replace(small_runs[0], task=Bare()))


def test_heavier_links_accelerate_less():
    light = RigidTendonArm26()
    state = light.rest(torch.tensor([0.9, 1.2], dtype=torch.float64))
    push, rest = torch.tensor([0.0, 8.0], dtype=torch.float64), torch.zeros(6, dtype=torch.float64)
    pushed = [with_masses(light, f).step(state, rest, push).qd for f in (1.0, 2.0)]
    torch.testing.assert_close(pushed[0], 2 * pushed[1])
