"""CtDB's names of MultiTask, with its arguments and dictionaries."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from conjugacy._config import build, describe
from conjugacy.tasks import validate
from ctd.task_modeling.task_env.multitask import MultiTask, MultiTaskWrapper

TASKS = ["DelayPro", "ContextIntMod2", "MatchCatAnti"]


@pytest.fixture(scope="module")
def env():
    return MultiTaskWrapper(
        task_list=TASKS,
        bin_size=20,
        n_timesteps=320,
        num_targets=32,
        noise=0.3,
        dynamic_noise=0,
        grouped_sampler=True,
        dataset_name="Three",
    )


def test_is_a_task_that_can_be_saved(env):
    validate(env)
    assert env.name == env.dataset_name == "Three" and env.batches == "grouped"
    again = build("task", describe(env), [MultiTaskWrapper])
    assert again.trials(6, 1).digest() == env.trials(6, 1).digest()


def test_a_data_set_has_n_trials_of_each_task(env):
    data, extra = env.generate_dataset(n_samples=4)
    shapes = {name: x.shape for name, x in data.items()}
    assert shapes == {
        "inputs": (12, 320, 20),
        "true_inputs": (12, 320, 20),
        "targets": (12, 320, 3),
        "ics": (12, 3),
        "inputs_to_env": (12, 320, 0),
        "conds": (12, 1),
        "extra": (12, 2),
    }
    assert data["conds"].ravel().tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert extra["task_names"] == [t for t in TASKS for _ in range(4)]
    for k, phases in enumerate(extra["phase_dict"]):
        want = [
            ["context", "stim1", "response"],
            ["context", "stim1", "mem1", "stim2", "mem2", "response"],
            ["context", "stim1", "mem1", "response"],
        ][k // 4]
        assert list(phases) == want
        assert phases["response"] == data["extra"][k].tolist()
        assert not data["inputs"][k, phases["response"][1] :].any()
    assert not np.array_equal(data["inputs"][0], data["inputs"][1])
    again = env.generate_dataset(4)[0]
    assert all(np.array_equal(data[name], again[name]) for name in data)
    assert not np.array_equal(data["inputs"], env.generate_dataset(4, seed=50)[0]["inputs"])


def test_plots_a_figure_of_each_task(env):
    figures = env.plot_tasks()
    assert len(figures) == 3 and all(isinstance(f, Figure) for f in figures)


def test_a_single_task():
    from ctd.task_modeling.task_env.multi_task_env import MultiTask as old_path

    assert old_path is MultiTask
    noisy, targets, phases, name, clean = MultiTask("MemoryAnti", 20, 32, 0.3).generate_trial()
    assert name == "MemoryAnti" and list(phases) == ["context", "stim1", "mem1", "response"]
    steps = phases["response"][1]
    assert noisy.shape == clean.shape == (steps, 20) and targets.shape == (steps, 3)
    assert isinstance(MultiTask("MemoryAnti").plot_trial(), Figure)


def test_dynamic_noise_is_refused():
    with pytest.raises(ValueError, match=r"^`dynamic_noise`: expected 0, got 0\.1\. Raise `noise`, or take a NoisyGRU"):
        MultiTaskWrapper(TASKS, dynamic_noise=0.1)
