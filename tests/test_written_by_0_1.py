"""Files that 0.1 wrote are read by today's code, and say what they said. How they were made: written_by_0_1/make.py.

What is read is the same to the last bit everywhere. What is computed anew from it is so on a machine like the one that
wrote the files, and close to it on others.
"""

import importlib.util
import json
import pickle
import shutil
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy import networks, tasks
from conjugacy.training import evaluate

FILES = Path(__file__).with_name("written_by_0_1")
RECORDED = json.loads((FILES / "recorded.json").read_text())


def _settings():
    spec = importlib.util.spec_from_file_location("settings_of_0_1", FILES / "settings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


made = _settings()
SAME_MACHINE = made.machine() == RECORDED["machine"]


def weights(run):
    return made.digest(run.network.state_dict())


def assert_trained_like(run, recorded, reference=None):
    """The weights recorded; on another machine, close to those of a reference."""
    if SAME_MACHINE:
        assert weights(run) == recorded
    elif reference is not None:
        torch.testing.assert_close(run.network.state_dict(), reference.network.state_dict(), rtol=1e-3, atol=1e-3)


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def copied(tmp_path):
    def copy(name):
        return Path(shutil.copytree(FILES / name, tmp_path / name))

    return copy


def of_0_1():
    """How a GRU was trained on the flip-flop then: as all networks were."""
    return cj.Recipe(**made.flip_flop().recipe)


@pytest.fixture
def batches(monkeypatch):
    """The training batches of flip-flops drawn since."""
    drawn, draw = [], tasks.NBitFlipFlop.trials

    def counted(self, n, seed):
        if n == made.TRAINING["batch_size"]:
            drawn.append(seed)
        return draw(self, n, seed)

    monkeypatch.setattr(tasks.NBitFlipFlop, "trials", counted)
    return drawn


@pytest.mark.parametrize("name", RECORDED["runs"])
def test_a_run_is_what_it_was(name):
    # the noise of MultiTask's trials comes from a compiled kernel, whose last bits are the processor's own
    run = cj.load(FILES / "runs" / name, classes=[made.Mine], check_trials=SAME_MACHINE or name != "multitask")
    says, said = made.what_it_says(run), dict(RECORDED["runs"][name])
    if not SAME_MACHINE:
        for of_the_machine in ["rollout"] + ["trials"] * (name == "multitask"):
            del says[of_the_machine], said[of_the_machine]
    assert json.dumps(says) == json.dumps(said)  # nan is nan here
    scores = {f"test_{k}": v for k, v in evaluate(run.network, run.task, run.trials("test")).items()}
    tolerance = 0 if SAME_MACHINE else 1e-3
    assert scores == pytest.approx(
        {k: v for k, v in run.metrics.items() if k.startswith("test_")}, rel=tolerance, abs=tolerance, nan_ok=True
    )
    assert type(run.network).__name__ == says["name"].split("-")[0]


def test_every_class_of_0_1_is_among_the_runs():
    def named(config):
        if isinstance(config, dict):
            return {config.get("class")}.union(*(named(v) for v in config.values()))
        return set().union(*(named(v) for v in config)) if isinstance(config, list) else set()

    found = set().union(*(named(json.loads(p.read_text())) for p in FILES.glob("runs/*/config.json")))
    assert {"RigidTendonArm26", "TwoJointSkeleton", "RigidTendonHillMuscle", "ReluMuscle", "MujocoHillMuscle"} <= found
    assert {"GRU", "NODE", "LSTM", "EIRNN", "LowRankRNN", "MultiTask", "NBitFlipFlop", "SineWaveGenerator"} <= found
    assert len(found - {None, "Mine"}) == 27


def test_the_history_of_a_run_is_read():
    history = cj.load(FILES / "runs" / "gru").history
    assert history["step"].tolist() == [3, 6, 9, 12]
    assert {"seconds", "loss", "learning_rate", "val_r2", "val_accuracy", "val_accuracy/Bit 1"} <= set(history.columns)


def test_kept_trials_are_those_drawn_again():
    trials = cj.load(FILES / "runs" / "gru_kept").trials("all")
    names = ("inputs", "targets", "mask", "true_inputs", "ics", "loads", "conditions")
    with h5py.File(FILES / "runs" / "gru_kept" / "trials.h5") as f:
        kept = {name: f[name][()] for name in names}
    for name, array in kept.items():
        np.testing.assert_array_equal(array, getattr(trials, name).numpy())


@pytest.mark.parametrize("version", ["0.1.0", "9.9.9"])
def test_an_interrupted_training_goes_on_and_ends_as_if_nothing_had_happened(copied, batches, monkeypatch, version):
    folder = copied("interrupted")
    monkeypatch.setattr(sys.modules[cj.Run.__module__], "__version__", version)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run = cj.train(made.flip_flop(), networks.GRU(3), seed=1, recipe=of_0_1(), out=folder, **made.TRAINING)
    newer = version != "0.1.0" or torch.__version__ != RECORDED["machine"]["torch"]
    assert any("other versions" in str(w.message) for w in told) == newer
    assert len(batches) == made.TRAINING["steps"] - made.INTERRUPTED_AT
    assert run.metrics["stopped"] == "steps" and run.history["step"].tolist() == [3, 6, 9, 12]
    assert_trained_like(run, RECORDED["runs"]["gru"]["weights"], cj.load(FILES / "runs" / "gru"))
    assert weights(cj.load(folder)) == weights(run)


def test_a_finished_training_is_returned_as_it_is(copied, batches):
    out = copied("runs") / "gru"
    run = cj.train(made.flip_flop(), networks.GRU(3), seed=1, recipe=of_0_1(), out=out, **made.TRAINING)
    assert not batches
    assert weights(run) == RECORDED["runs"]["gru"]["weights"]


def test_a_sweep_knows_which_runs_are_finished_and_does_not_repeat_them(copied, batches):
    folder = copied("sweep")
    plan = cj.sweeps.Plan.read(folder / "sweep.yaml")
    recorded = RECORDED["sweep"]
    assert [run.name for run in plan.runs] == list(recorded["status"])
    before = contents(folder / "runs")
    finished = replace(plan, runs=plan.runs[: made.SWEEP_FINISHED])
    table = cj.run_sweep(finished, folder, progress=False)
    assert table["status"].tolist() == ["finished"] * made.SWEEP_FINISHED
    assert contents(folder / "runs") == before
    assert not batches
    for run in plan.runs:
        cj.train(run.task, run.network, run.seed, False, recipe=run.recipe, out=folder / "runs" / run.name)
    assert batches
    table = cj.run_sweep(folder / "sweep.yaml", folder, progress=False)
    assert table["status"].tolist() == ["finished"] * len(plan.runs)
    assert_finished_as_recorded(table)
    assert len((folder / "log.jsonl").read_text().splitlines()) == 6


def assert_finished_as_recorded(table):
    """What was finished is as it was, what was begun ends as it would have; what waited has today's recipe."""
    scores, recorded = dict(zip(table["run"], table["test_r2"])), RECORDED["sweep"]
    for name, status in recorded["status"].items():
        if status != "waiting":
            tolerance = 0 if SAME_MACHINE or status == "finished" else 1e-2
            assert scores[name] == pytest.approx(recorded["finished_r2"][name], rel=tolerance, abs=0)


@pytest.mark.slow
def test_a_half_finished_sweep_goes_on_in_processes_of_its_own(copied):
    folder = copied("sweep")
    done = [folder / "runs" / name for name, status in RECORDED["sweep"]["status"].items() if status == "finished"]
    before = [contents(run) for run in done]
    table = cj.run_sweep(folder / "sweep.yaml", folder, workers=1, progress=False)
    assert table["status"].tolist() == ["finished"] * 4
    assert [contents(run) for run in done] == before
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()][6:]
    assert [e["event"] for e in events] == ["begun", "finished"] * 2
    assert_finished_as_recorded(table)


def test_a_finished_population_is_returned_as_it_is(copied, batches):
    folder = copied("population")
    settings = {**made.POPULATION, "recipe": of_0_1(), "workers": 1, "progress": False}
    runs = cj.train_population(made.flip_flop(), networks.GRU(2), **settings, out=folder)
    assert not batches
    assert [weights(run) for run in runs] == [said["weights"] for said in RECORDED["population"].values()]


@pytest.mark.parametrize("name", RECORDED["fixed_points"])
def test_fixed_points_are_those_that_were_saved(name, tmp_path):
    said = RECORDED["fixed_points"][name]
    cycle = RECORDED["fixed_points"]["cycle"]["cycles"][0]
    points = cj.FixedPoints.load(FILES / "fixed_points" / f"{name}.npz")
    assert made.what_they_say(points, said["arrays"], said["record"], cycle) == said
    points.save(tmp_path / "again.npz")
    again = cj.FixedPoints.load(tmp_path / "again.npz")
    assert made.what_they_say(again, said["arrays"], said["record"], cycle) == said
    assert points.audit().index_sum == points.index_sum and points.counts == again.counts


@pytest.mark.parametrize("name", RECORDED["notebook"])
def test_the_pickles_of_the_notebook_load_and_give_the_same_outputs(name):
    from ctd.comparison.analysis.tt.tasks.tt_RandomTarget import Analysis_TT_RandomTarget
    from ctd.comparison.analysis.tt.tt import Analysis_TT

    said, kind = RECORDED["notebook"][name], Analysis_TT_RandomTarget if name == "models_reach" else Analysis_TT
    analysis = kind(run_name=name, filepath=str(FILES / "notebook" / name))
    assert made.digest(analysis.model.state_dict()) == said["weights"]
    assert made.digest({"inputs": analysis.get_inputs()}) == said["inputs"]
    outputs = {k: v for k, v in analysis.get_model_outputs("val").items() if v is not None}
    if SAME_MACHINE:
        assert made.digest(outputs) == said["outputs"]
    with open(FILES / "notebook" / name / "model.pkl", "rb") as f:
        wrapper = pickle.load(f)
    ics, inputs, _ = analysis.get_model_inputs("val")
    plain = wrapper(ics, inputs, analysis.get_inputs_to_env("val"))
    for key, value in outputs.items():
        torch.testing.assert_close(plain[key], value, rtol=0, atol=0)


def test_the_trials_that_were_pickled_for_training_load():
    from ctd.comparison.analysis.tt.tt import Analysis_TT

    analysis = Analysis_TT("x", FILES / "notebook" / "models_GRU_4", use_train_dm=True)
    assert made.digest({"inputs": analysis.get_inputs()}) == RECORDED["notebook"]["models_GRU_4"]["inputs"]


def test_the_checkpoint_of_the_notebooks_trainer_loads():
    from ctd.task_modeling.model.rnn import GRU_RNN
    from ctd.task_modeling.task_wrapper.task_wrapper import TaskTrainedWrapper

    parts = {"task_env": made.flip_flop(), "model": GRU_RNN(latent_size=4)}
    wrapper = TaskTrainedWrapper.load_from_checkpoint(FILES / "notebook" / "models_GRU_4" / "trainer.ckpt", **parts)
    assert made.digest(wrapper.model.state_dict()) == RECORDED["notebook"]["models_GRU_4"]["weights"]


@pytest.mark.parametrize("name", RECORDED["cli"])
def test_a_config_of_the_command_line_trains_the_same_network(name, tmp_path, capsys):
    from conjugacy.cli import main

    # what the file leaves open is a task's own recipe, which has changed since
    recipe = {"recurrent_decay": 0, "calm_share": 0, "stop_from": 0, **made.FORMER_RECIPE[name]}
    then = [f"--recipe.{setting}={value}" for setting, value in recipe.items()]
    main(["train", "--config", str(FILES / "cli" / f"{name}.yaml"), *then, "--out", str(tmp_path / "run")])
    run = cj.load(tmp_path / "run")
    assert str(tmp_path / "run") in capsys.readouterr().out
    assert run.metrics["steps"] == 3 and run.seed == 2
    assert_trained_like(run, RECORDED["cli"][name])
