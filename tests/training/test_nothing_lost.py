"""A finished training is never thrown away, and what cannot work is said before the first step."""

import errno
import os
import shutil
import signal
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy.runs.lock import locked
from conjugacy.training import checkpoint
from conjugacy.training import train as train_function
from conjugacy.training.repeat import repeat

QUICK = {"steps": 12, "batch_size": 8, "eval_every": 4, "progress": False}
TRAIN = train_function.__globals__


class Killed(BaseException):
    pass


@pytest.fixture
def steps(monkeypatch):
    taken, step = [], TRAIN["_gradient_step"]
    monkeypatch.setitem(
        TRAIN, "_gradient_step", lambda training: (taken.append(training.state.step), step(training))[1]
    )
    return taken


def train(task, out, **more):
    return cj.train(task, cj.networks.GRU(7), **{"seed": 1, **QUICK, **more}, out=out)


def same(a, b):
    pairs = zip(a.network.state_dict().values(), b.network.state_dict().values())
    return all(torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("k", range(14))
def test_a_kill_at_the_end_loses_nothing(small_task, small_runs, tmp_path, monkeypatch, steps, k):
    calls = [0]

    def dead(real):
        def call(*args, **options):
            calls[0] += len(steps) == QUICK["steps"]
            if calls[0] > k:
                raise Killed
            return real(*args, **options)

        return call

    with monkeypatch.context() as patch:
        for name in ("replace", "fsync", "unlink", "rename", "rmdir"):
            patch.setattr(os, name, dead(getattr(os, name)))
        with suppress(Killed):
            train(small_task, tmp_path / "r")
    run = train(small_task, tmp_path / "r")
    # the first two places are within the write of the ended training itself
    assert len(steps) == QUICK["steps"] * (2 if k < 2 else 1)
    assert same(run, small_runs[0]) and same(cj.load(tmp_path / "r"), small_runs[0])
    assert len(os.listdir(tmp_path / "r")) == 4


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("odd"), MemoryError()]
)
def test_a_save_that_fails_returns_the_run_with_a_warning(small_task, small_runs, tmp_path, monkeypatch, error):
    def fails(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("conjugacy.training.training.write_folder", fails)
        with pytest.warns(UserWarning, match=r"^`out`: the trained run could not be saved .* run\.save\(FOLDER\)"):
            run = train(small_task, tmp_path / "r")
    assert same(run, small_runs[0]) and run.metrics["stopped"] == "steps"
    run.save(tmp_path / "elsewhere")
    assert same(train(small_task, tmp_path / "r"), run)  # from its checkpoint


def test_a_checkpoint_that_cannot_be_written_is_a_warning(small_task, small_runs, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("conjugacy.training.training._SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    monkeypatch.setattr(checkpoint, "write_sealed", full)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run = train(small_task, tmp_path / "r")
    assert [str(w.message)[:14] for w in said] == ["a checkpoint o"]  # once
    assert same(run, small_runs[0]) and same(cj.load(tmp_path / "r"), run)


def test_a_training_that_has_learned_is_not_trained_on_after_a_kill(small_task, tmp_path, monkeypatch, steps):
    settings = {"stop_accuracy": 0.0, "stop_r2": -9.0, "stop_from": 0.0}
    scored = []

    def dies_at_the_test(*args):
        scored.append(1)
        if len(scored) == 2:
            raise Killed
        return cj.training.evaluate(*args)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("conjugacy.training.training.evaluate", dies_at_the_test)
        train(small_task, tmp_path / "r", **settings)
    run = train(small_task, tmp_path / "r", **settings)
    assert run.metrics["stopped"] == "learned" and run.metrics["steps"] == len(steps) == 4


@pytest.mark.parametrize("name", ["file/r", "file", "a" * 300, *(["/proc/x/y"] if os.name == "posix" else [])])
def test_a_folder_that_cannot_be_written_is_said_before_the_first_step(small_task, tmp_path, steps, name):
    (tmp_path / "file").write_text("x")
    with pytest.raises((OSError, ValueError), match=r"^`out`: .*\.$"):
        train(small_task, tmp_path / name)
    assert not steps


def test_two_trainings_of_one_folder(small_task, tmp_path, steps):
    with locked(tmp_path / "r"):
        with pytest.raises(BlockingIOError, match=r"^`out`: .*r is in use: another process trains or saves there\."):
            train(small_task, tmp_path / "r")
        (tmp_path / "link").symlink_to("r")
        with pytest.raises(BlockingIOError, match="in use"):
            train(small_task, tmp_path / "link")
    assert not steps and not list(tmp_path.glob("r/*"))
    train(small_task, tmp_path / "r")
    with pytest.raises(BlockingIOError, match=r"^`folder`: .* in use"), locked(tmp_path / "r"):
        train(small_task, None).save(tmp_path / "r", overwrite=True)


def test_a_finished_run_in_a_folder_that_cannot_be_written_is_returned(small_task, tmp_path, monkeypatch, steps):
    run = train(small_task, tmp_path / "r")
    (tmp_path / "r" / checkpoint.FILE).write_bytes(b"left by a kill")
    monkeypatch.setattr(Path, "mkdir", lambda *a, **k: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    assert same(train(small_task, tmp_path / "r"), run) and len(steps) == 12


def test_a_link_and_what_systems_leave_in_folders(small_task, small_runs, tmp_path):
    (tmp_path / "real" / "lost+found").mkdir(parents=True)
    (tmp_path / "real" / ".DS_Store").touch()
    (tmp_path / "link").symlink_to("real")
    assert same(train(small_task, tmp_path / "link"), small_runs[0])
    assert same(cj.load(tmp_path / "real"), small_runs[0]) and (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / ".DS_Store").exists()


def test_users_hidden_folders_beside_a_run_stay(small_task, tmp_path):
    for name in (".r-original", ".r-20251124", ".r-old-original", ".abcdefgh"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis").touch()
    train(small_task, tmp_path / "r")
    assert len(list(tmp_path.glob(".*/thesis"))) == 4


def test_every_changed_byte_of_a_checkpoint_is_noticed(small_task, small_runs, tmp_path, monkeypatch):
    step, calls = TRAIN["_gradient_step"], []

    def interrupted(training):
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return step(training)

    monkeypatch.setitem(TRAIN, "_gradient_step", interrupted)
    train(small_task, tmp_path / "r")
    path = tmp_path / "r" / checkpoint.FILE
    data, rng = path.read_bytes(), np.random.default_rng(0)
    for at in [*rng.choice(len(data), 25, replace=False), *rng.choice(1500, 25, replace=False)]:
        changed = bytearray(data)
        changed[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"checkpoint\.safetensors: ") as caught:
            train(small_task, tmp_path / "r")
        assert "\n" not in str(caught.value)
    path.write_bytes(data)
    assert same(train(small_task, tmp_path / "r"), small_runs[0])


def test_ctrl_c_comes_between_two_steps(small_task, small_runs, tmp_path, monkeypatch):
    step, calls = TRAIN["_gradient_step"], []

    def pressed_within(training):
        loss = step(training)  # the weights have moved, and the step is not counted yet
        calls.append(1)
        if len(calls) == 6:
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.01)
        return loss

    monkeypatch.setitem(TRAIN, "_gradient_step", pressed_within)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background are started deaf to it
    try:
        half = train(small_task, tmp_path / "r")
        assert half.metrics["stopped"] == "interrupted" and half.metrics["steps"] == 6
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert same(train(small_task, tmp_path / "r"), small_runs[0]) and len(calls) == 12


def test_training_in_another_thread_leaves_ctrl_c_alone(small_task, small_runs):
    runs = []
    thread = threading.Thread(target=lambda: runs.append(train(small_task, None)))
    thread.start()
    thread.join()
    assert same(runs[0], small_runs[0])


@pytest.mark.parametrize(
    "change",
    [
        {"seed": np.int64(1)},
        {"steps": np.int32(12)},
        {"learning_rate": np.float64(3e-2), "batch_size": np.uint8(8)},
        {"stop_r2": np.float32(2.0), "eval_every": np.int64(4)},
        {"threads": np.int64(1)},
    ],
)
def test_numbers_of_numpy_are_numbers(small_task, small_runs, tmp_path, change):
    run = train(small_task, tmp_path / "r", **change)
    assert same(run, small_runs[0]) and same(cj.load(tmp_path / "r"), run)
    assert type(run.seed) is int


def test_tasks_and_networks_take_numbers_of_numpy(tmp_path):
    task = cj.tasks.NBitFlipFlop(n=np.int64(1), n_timesteps=np.int32(20), noise=np.float64(0.1))
    network = cj.networks.NODE(np.int64(2), num_layers=np.int64(1), layer_hidden_size=np.int64(8))
    run = cj.train(task, network, out=tmp_path / "r", **QUICK)
    assert cj.load(tmp_path / "r").config()["task"] == run.config()["task"]


@pytest.mark.parametrize("setting", ["dtype", "grad", "inference", "autocast", "device"])
@pytest.mark.parametrize("network", [cj.networks.GRU(7), cj.networks.NODE(3, 2, 11)])
def test_what_is_set_for_all_of_torch_changes_nothing(small_task, small_runs, setting, network):
    right = small_runs[0] if isinstance(network, cj.networks.GRU) else small_runs[1]
    undo = []
    try:
        if setting == "dtype":
            torch.set_default_dtype(torch.float64)
            undo.append(lambda: torch.set_default_dtype(torch.float32))
        if setting == "device":
            torch.set_default_device("meta")
            undo.append(lambda: torch.set_default_device(None))
        with {
            "grad": torch.no_grad,
            "inference": torch.inference_mode,
            "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
        }.get(setting, torch.enable_grad)():
            run = cj.train(small_task, network, seed=1, **QUICK)
    finally:
        for back in undo:
            back()
    assert same(run, right) and run.metrics["test_r2"] == right.metrics["test_r2"]


def test_repeat_trains_again_and_certifies_nothing_else(small_task, tmp_path, steps):
    run = train(small_task, tmp_path / "r")
    for name in ("r", "copy"):
        if name == "copy":
            shutil.copytree(tmp_path / "r", tmp_path / "copy")
        with pytest.raises(FileExistsError, match=r"^`out`: .* is not empty .* would not be trained again\."):
            repeat(tmp_path / "r", tmp_path / name)
    steps.clear()
    new, equal = repeat(tmp_path / "r", tmp_path / "again", progress=False)
    assert equal and same(new, run) and len(steps) == 12
    with torch.no_grad():
        run.network.latent_ics.add_(1.0)
    run.save(tmp_path / "other")
    assert not repeat(tmp_path / "other", tmp_path / "again2", progress=False)[1]
