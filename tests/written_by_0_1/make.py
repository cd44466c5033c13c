"""Write the files of 0.1 that later versions must go on reading: run folders, checkpoints, sweeps, pickles, points.

They stand beside this script and were written by commit ab0b434, the last one before the source tree was moved:

    git worktree add /tmp/of_0_1 ab0b434
    PYTHONPATH=/tmp/of_0_1/src OMP_NUM_THREADS=1 python tests/written_by_0_1/make.py

It runs on that commit alone, and is kept to say how each file came about; tests/test_written_by_0_1.py reads the files.
Trainings are a few steps of networks of two to five units.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import json
import pickle
import re
import shutil
import subprocess
import tempfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from settings import (
    CLI,
    CLI_CONFIGS,
    FEW_TRIALS,
    INTERRUPTED_AT,
    POPULATION,
    SWEEP,
    SWEEP_FINISHED,
    SWEEP_INTERRUPTED_AT,
    TRAINING,
    Mine,
    digest,
    flip_flop,
    machine,
    multitask,
    random_target,
    untrained,
    what_it_says,
    what_they_say,
)

import conjugacy as cj
from conjugacy import networks, tasks

HERE = Path(__file__).resolve().parent
COMMIT = "ab0b434"


def scored(run: cj.Run) -> cj.Run:
    """The run with its scores on the test trials."""
    from conjugacy.training import evaluate

    scores = evaluate(run.network, run.task, run.trials("test"))
    return replace(run, metrics={**run.metrics, **{f"test_{k}": v for k, v in scores.items()}})


def make_runs(folder: Path) -> dict[str, Any]:
    """Trained runs, one with its trials, one of a class of one's own; and untrained ones of all other classes."""
    few = cj.TrialSets.from_seed(5, *FEW_TRIALS)
    gru = cj.train(flip_flop(), networks.GRU(3), seed=1, out=folder / "gru", **TRAINING)
    made = {
        "gru_kept": scored(replace(gru, sets=few)),
        "node": cj.train(flip_flop(), networks.NODE(2, 2, 5), seed=1, **TRAINING),
        "lstm": cj.train(flip_flop(), networks.LSTM(2), seed=1, **TRAINING),
        "own_class": cj.train(flip_flop(), Mine(2), seed=1, **TRAINING),
        "random_target": cj.train(random_target(), networks.GRU(4), seed=1, **TRAINING),
        "multitask": cj.train(multitask(), networks.LeakyRNN(4), seed=1, **TRAINING),
    }
    for name in ("random_target", "multitask"):
        made[name] = scored(replace(made[name], sets=few))
    for name, task, network in untrained():
        network.init_model(tasks.input_size(task), tasks.output_size(task), 7)
        made[name] = scored(cj.Run(task, network.eval(), 7, few))
    for name, run in made.items():
        run.save(folder / name, keep_trials=name == "gru_kept")
    return {name: what_it_says(run) for name, run in {"gru": gru, **made}.items()}


def interrupt(task: Any, network: Any, seed: int, recipe: cj.Recipe, folder: Path, at: int) -> None:
    """Train as `train` does, until Ctrl-C at a step."""
    from conjugacy.training.train import begin, fit

    training = begin(task, network, seed, recipe, folder, "cpu")

    def tell(training):
        if training.state.step == at:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        fit(training, tell)
    training.interrupt()
    training.end()


def make_interrupted(folder: Path) -> None:
    """The training of runs/gru, which Ctrl-C ended."""
    settings = {k: v for k, v in TRAINING.items() if k != "progress"}
    interrupt(flip_flop(), networks.GRU(3), 1, replace(cj.Recipe.for_task(flip_flop()), **settings), folder,
              INTERRUPTED_AT)  # fmt: skip


def make_sweep(folder: Path) -> dict[str, Any]:
    """Two runs finished, one interrupted, one waiting: what `run_sweep` leaves when Ctrl-C ends it."""
    from conjugacy.sweeps.run import Plan, _Records, run_sweep

    plan = Plan.parse(SWEEP)
    whole = run_sweep(plan, Path(tempfile.mkdtemp()), workers=1, progress=False)
    run_sweep(replace(plan, runs=plan.runs[:SWEEP_FINISHED]), folder, workers=1, progress=False)
    records, third = _Records(plan, folder), plan.runs[SWEEP_FINISHED]
    records.open()
    records.note(third.name, "begun")
    interrupt(third.task, third.network, third.seed, third.recipe, records.folder_of(third.name), SWEEP_INTERRUPTED_AT)
    records.note(third.name, "interrupted")
    table = records.write_table()
    return {
        "status": dict(zip(table["run"], table["status"])),
        "finished_r2": dict(zip(whole["run"], whole["test_r2"])),
    }


def make_population(folder: Path) -> dict[str, Any]:
    """Two networks that were trained side by side."""
    runs = cj.train_population(flip_flop(), networks.GRU(2), **POPULATION, out=folder, workers=1, progress=False)
    return {str(i): what_it_says(run) for i, run in enumerate(runs)}


def searches() -> dict[str, Any]:
    """Points of a network, of a map with a cycle, of one with a circle and slow points, and of a flow with a cycle."""
    rnn = networks.VanillaRNN(3, gain=2.0)
    rnn.init_model(2, 2, 3)
    run = cj.Run(flip_flop(), rnn.eval(), 3, cj.TrialSets.from_seed(3, *FEW_TRIALS))
    starts = torch.randn(64, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gains = torch.tensor([2.0, -3.0], dtype=torch.float64)
    angle = torch.tensor(0.7, dtype=torch.float64)
    turn = torch.tensor([[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]], dtype=torch.float64)

    def circle(x, u):
        return (x @ turn.T) * (1.3 - 0.3 * (x**2).sum(-1, keepdim=True)) + 0 * u[..., :1]

    def ghost(x, u):
        return torch.stack([x[..., 0] + 0.2 * x[..., 0] ** 2 + 1e-4 + 0 * u[..., 0], 0.5 * x[..., 1]], -1)

    def van_der_pol(x, u):
        return torch.stack([x[..., 1], (1 - x[..., 0] ** 2) * x[..., 1] - x[..., 0] + 0 * u[..., 0]], -1)

    few: dict[str, Any] = {"n_inits": 64, "seed": 0, "progress": False, "inputs": [0.0]}
    return {
        "network": cj.fixed_points(run, **{**few, "inputs": [0.0, 0.1]}, search="until_complete"),
        "cycle": cj.fixed_points(lambda x, u: torch.tanh(x * gains + u), starts, **few, box=([-1, -1], [1, 1])),
        "circle": cj.fixed_points(circle, starts, **few, expected_index=1),
        "ghost": cj.fixed_points(ghost, 0.3 * starts, **few, n_orbits=0),
        "flow": cj.fixed_points(van_der_pol, starts, **few, kind="flow"),
    }


def make_fixed_points(folder: Path) -> dict[str, Any]:
    """Files of FixedPoints.save, which between them fill every field."""
    folder.mkdir(parents=True)
    found = searches()
    for name, points in found.items():
        points.save(folder / f"{name}.npz")
    some = found["cycle"]
    arrays = [f.name for f in fields(some) if isinstance(getattr(some, f.name), torch.Tensor | np.ndarray)]
    names = [arrays, [f.name for f in fields(some.record)], [f.name for f in fields(some.cycles[0])]]
    return {name: what_they_say(points, *names) for name, points in found.items()}


def make_notebook(folder: Path) -> dict[str, Any]:
    """The pickles of the seed notebook, as its cells write them, and the checkpoint of its Trainer."""
    from pytorch_lightning import Trainer

    from ctd.comparison.analysis.tt.tasks.tt_RandomTarget import Analysis_TT_RandomTarget
    from ctd.comparison.analysis.tt.tt import Analysis_TT
    from ctd.task_modeling.datamodule.task_datamodule import TaskDataModule
    from ctd.task_modeling.model.node import NODE
    from ctd.task_modeling.model.rnn import GRU_RNN
    from ctd.task_modeling.task_wrapper.task_wrapper import TaskTrainedWrapper

    told = {}
    made = {
        "models_GRU_4": (flip_flop(), GRU_RNN(latent_size=4), Analysis_TT),
        "models_NODE_3": (flip_flop(), NODE(latent_size=3, num_layers=2, layer_hidden_size=5), Analysis_TT),
        "models_reach": (random_target(), GRU_RNN(latent_size=4), Analysis_TT_RandomTarget),
    }
    for name, (task, rnn, kind) in made.items():
        datamodule = TaskDataModule(task, n_samples=20, batch_size=20)
        wrapper = TaskTrainedWrapper(learning_rate=1e-3, weight_decay=1e-8)
        rnn.init_model(input_size=tasks.input_size(task), output_size=tasks.output_size(task))
        wrapper.set_environment(task)
        wrapper.set_model(rnn)
        trainer = Trainer(max_epochs=2, enable_progress_bar=False, logger=False, default_root_dir=tempfile.mkdtemp())
        trainer.fit(wrapper, datamodule)
        (folder / name).mkdir(parents=True)
        with open(folder / name / "model.pkl", "wb") as f:
            pickle.dump(wrapper, f)
        with open(folder / name / "datamodule_sim.pkl", "wb") as f:
            pickle.dump(datamodule, f)
        if name == "models_GRU_4":
            shutil.copy(folder / name / "datamodule_sim.pkl", folder / name / "datamodule_train.pkl")
            shutil.copy(trainer.checkpoint_callback.best_model_path, folder / name / "trainer.ckpt")
        analysis = kind(run_name=name, filepath=str(folder / name))
        told[name] = {
            "weights": digest(rnn.state_dict()),
            "inputs": digest({"inputs": analysis.get_inputs()}),
            "outputs": digest({k: v for k, v in analysis.get_model_outputs("val").items() if v is not None}),
        }
    return told


def make_cli(folder: Path) -> dict[str, Any]:
    """Files of ``conjugacy train --print_config``, and the weights that training by them gives."""
    from conjugacy.cli import main

    folder.mkdir(parents=True)
    told = {}
    for name, flags in CLI_CONFIGS.items():
        text, out = io.StringIO(), Path(tempfile.mkdtemp()) / "run"
        with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
            main(["train", *flags, *CLI, "--print_config"])
        (folder / f"{name}.yaml").write_text(text.getvalue())
        with contextlib.redirect_stdout(io.StringIO()):
            main(["train", "--config", str(folder / f"{name}.yaml"), "--out", str(out)])
        told[name] = digest(cj.load(out).network.state_dict())
    return told


def make_paths(file: Path) -> None:
    """Every module, and the public functions and classes that it defines or says it holds."""
    lines = []
    for package in ("conjugacy", "ctd"):
        root = Path(importlib.import_module(package).__file__).parent
        for path in sorted(root.rglob("*.py")):
            parts = [package, *path.relative_to(root).with_suffix("").parts]
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if re.search(r"\._", module):
                continue
            body = ast.parse(path.read_text()).body
            names = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
            if package == "ctd":  # other names of the peer for one class
                names += [ast.unparse(node.targets[0]) for node in body if isinstance(node, ast.Assign)]
            names += getattr(importlib.import_module(module), "__all__", [])
            lines.append(" ".join([f"{module}:", *sorted({name for name in names if not name.startswith("_")})]))
    file.write_text("\n".join(lines) + "\n")


def main() -> None:
    """Write all files anew."""
    source = Path(cj.__file__).parent
    git = ["git", "-C", str(source)]
    at = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    changed = subprocess.run([*git, "status", "--porcelain", "."], capture_output=True, text=True).stdout
    if not at.startswith(COMMIT) or changed:
        raise SystemExit(f"These files are of commit {COMMIT}; {source} is at {at.strip() or 'no commit'}. {__doc__}")
    for old in [p for p in HERE.iterdir() if p.is_dir()]:
        shutil.rmtree(old)
    told: dict[str, Any] = {"commit": at.strip(), "version": "0.1.0", "machine": machine()}
    told["runs"] = make_runs(HERE / "runs")
    make_interrupted(HERE / "interrupted")
    told["sweep"] = make_sweep(HERE / "sweep")
    told["population"] = make_population(HERE / "population")
    told["fixed_points"] = make_fixed_points(HERE / "fixed_points")
    told["notebook"] = make_notebook(HERE / "notebook")
    told["cli"] = make_cli(HERE / "cli")
    make_paths(HERE / "paths.txt")
    (HERE / "recorded.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
