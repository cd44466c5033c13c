"""Weights kept while a network learns, and trainings that go on from a run."""

import os
import re
from contextlib import suppress

import pytest
import torch
from safetensors.torch import load_file

import conjugacy as cj
from conjugacy.cli import main
from conjugacy.runs.run import load
from conjugacy.runs.snapshots import steps_to_keep
from conjugacy.tasks import NBitFlipFlop
from conjugacy.training import train as train_function
from conjugacy.training.repeat import repeat

QUICK = {"steps": 12, "batch_size": 8, "eval_every": 4, "progress": False, "seed": 1}
TRAIN = train_function.__globals__


class Killed(BaseException):
    pass


def train(task, **more):
    network = None if "start" in more else cj.networks.GRU(7)
    return cj.train(task, network, **{**QUICK, **more})


def same(a, b):
    a, b = a.network.state_dict(), b.network.state_dict()
    return all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture(scope="module")
def three_bits():
    return NBitFlipFlop(n=3, n_timesteps=40, switch_prob=0.05, noise=0.1)


@pytest.fixture
def kept(small_task, tmp_path):
    return train(small_task, out=tmp_path / "kept", keep=[0, 3, 12])


def test_snapshots_are_the_averaged_weights_of_shorter_trainings(small_task, small_runs, kept, tmp_path):
    assert kept.snapshots.steps == (0, 3, 12) and same(kept, small_runs[0])
    fresh = cj.networks.GRU(7, update_bias=kept.network.update_bias)
    fresh.init_model(2, 2, cj.runs.trial_sets.derive_seed(1, "weights"))
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), kept.snapshots[0].network.parameters()))
    seen = {}

    def after_step(training):
        seen[training.state.step] = {k: v.clone() for k, v in training.average.state_dict().items()}

    training = TRAIN["begin"](small_task, cj.networks.GRU(7), 1, cj.training.Recipe.for_task(small_task), None, "cpu")
    training.recipe = cj.training.Recipe(**{**kept.recipe})
    train_function.__globals__["fit"](training, after_step)
    for step in (3, 12):
        weights = kept.snapshots[step].network.state_dict()
        assert all(torch.equal(seen[step][k], weights[k]) for k in weights), step


def test_snapshots_load_with_the_run_and_move_with_it(kept, tmp_path):
    loaded = load(tmp_path / "kept")
    loaded.save(tmp_path / "elsewhere")
    moved = load(tmp_path / "elsewhere")
    assert list(moved.snapshots) == [0, 3, 12] and same(moved.snapshots[3], kept.snapshots[3])
    at = moved.snapshots[12]
    assert at.name == "GRU-7 at step 12" and at.metrics["steps"] == 12 and len(kept.snapshots[3].history) == 0
    with pytest.raises(KeyError, match=re.escape("expected one of the steps that were kept (0, 3, 12), got 4.")):
        moved.snapshots[4]
    # a run in place of it takes its snapshots away
    train(kept.task, steps=2).save(tmp_path / "elsewhere", overwrite=True)
    assert load(tmp_path / "elsewhere").snapshots.steps == () and not (tmp_path / "elsewhere" / "snapshots").exists()


def test_a_changed_snapshot_is_refused(kept, tmp_path):
    path = tmp_path / "kept" / "snapshots" / "step_0000003.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=r"step_0000003.safetensors: its content is not what was kept"):
        load(tmp_path / "kept").snapshots[3]


@pytest.mark.parametrize("after", [0, 2, 5, 11])
def test_snapshots_survive_kills(small_task, kept, tmp_path, monkeypatch, after):
    step = TRAIN["_gradient_step"]

    def dies(training):
        if training.state.step >= after:
            raise Killed
        return step(training)

    with monkeypatch.context() as patch:
        patch.setitem(TRAIN, "_gradient_step", dies)
        with suppress(Killed):
            train(small_task, out=tmp_path / "r", keep=[0, 3, 12])
    again = train(small_task, out=tmp_path / "r", keep=[0, 3, 12])
    assert same(again, kept) and again.kept.sha256 == kept.kept.sha256


def test_a_kill_within_a_write_leaves_no_half_snapshot(small_task, kept, tmp_path, monkeypatch):
    real = os.replace

    def dies(a, b):
        if "step_0000003" in str(b):
            raise Killed
        return real(a, b)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dies)
        patch.setattr("pathlib.Path.unlink", lambda *_, **__: None)  # a kill cleans nothing up
        with suppress(Killed):
            train(small_task, out=tmp_path / "r", keep=[0, 3, 12])
    again = train(small_task, out=tmp_path / "r", keep=[0, 3, 12])
    assert again.kept.sha256 == kept.kept.sha256
    assert sorted(os.listdir(tmp_path / "r" / "snapshots")) == [f"step_{k:07d}.safetensors" for k in (0, 3, 12)]


def test_a_snapshot_that_cannot_be_written_is_a_warning(small_task, small_runs, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("conjugacy.runs.snapshots.write_file", full)
    with pytest.warns(UserWarning, match="could not be kept .*No space left.*Training goes on"):
        run = train(small_task, out=tmp_path / "r", keep=[3])
    assert same(run, small_runs[0]) and run.snapshots.steps == ()


def test_steps_that_grow_by_one_factor():
    steps = steps_to_keep("log", 1000)
    assert steps[:2] == (0, 1) and steps[-1] == 1000 and 18 <= len(steps) <= 26
    assert steps_to_keep("log", 1) == (0, 1)


@pytest.mark.parametrize(
    "more, message",
    [
        ({"keep": [3, 13]}, "`keep[1]`: expected an integer in [0, 12], got 13. Training has 12 steps"),
        ({"keep": "lin"}, "`keep`: expected one of 'log', got 'lin'"),
        ({"keep": 3}, "`keep`: expected a list of steps, got 3."),
        ({"keep": "log", "out": None}, "`keep`: expected None without `out`"),
        ({"start": "run"}, "`start`: expected a Run, got 'run'. Load one"),
    ],
)
def test_bad_input_gets_one_line_at_the_call(small_task, tmp_path, more, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        train(small_task, **{"out": tmp_path / "r", **more})
    assert not (tmp_path / "r").exists()


def test_network_and_start_together_and_folders_of_others(small_task, small_runs, kept, tmp_path):
    with pytest.raises(ValueError, match="`network`: expected none beside `start`"):
        cj.train(small_task, cj.networks.GRU(7), start=small_runs[0])
    with pytest.raises(FileExistsError, match=r"another config \(other keep\)"):
        train(small_task, out=tmp_path / "kept", keep=[1])
    for name in ("config.json", "weights.safetensors", "metrics.json", "history.csv"):
        (tmp_path / "kept" / name).unlink()
    with pytest.raises(FileExistsError, match="holds snapshots of another training"):
        train(small_task, out=tmp_path / "kept", keep=[1])


def test_transfer_carries_weights_over_by_the_labels_of_channels(small_runs, three_bits, tmp_path):
    for source in small_runs:  # a GRU, and a NODE whose inputs share a matrix with its states
        out = tmp_path / source.name
        run = cj.train(three_bits, start=source, out=out, keep=[0], **QUICK)
        old, new = source.network, run.snapshots[0].network
        g = torch.Generator().manual_seed(5)
        x, u = torch.randn(4, 6, old.state_size, generator=g), torch.randn(4, 6, 2, generator=g)
        wide = torch.cat([u, torch.zeros(4, 6, 1)], -1)
        torch.testing.assert_close(new.step(x, wide), old.step(x, u))
        torch.testing.assert_close(new.readout(x)[..., :2], old.readout(x))
        assert torch.equal(new.latent_ics, old.latent_ics)
        assert any("Input 3" in text for text in run.start.reset) and any("Bit 3" in t for t in run.start.reset)
        assert not any("Input 1" in text for text in run.start.reset) and "latent_ics" in run.start.copied
        # what is new is what a new network has
        kind = type(new)(**run.config()["network"]["args"])
        kind.init_model(3, 3, cj.runs.trial_sets.derive_seed(1, "weights"))
        assert torch.equal(kind.readout.weight[2], new.readout.weight[2])
        again, bit_for_bit = repeat(out, tmp_path / f"{source.name} again", progress=False)
        assert bit_for_bit and again.start.config() == run.start.config()
        assert torch.equal(*[load_file(p / "snapshots/step_0000000.safetensors")["latent_ics"] for p in (out, out)])


def test_transfer_to_fewer_and_to_other_channels(small_task, three_bits, small_runs):
    class Renamed(NBitFlipFlop):
        def __init__(self, n=2, n_timesteps=40):
            super().__init__(n, n_timesteps)
            self.input_labels = ["Input 2", "New"]

    run = train(Renamed(), start=small_runs[0], steps=1, learning_rate=1e-12)
    old, new = small_runs[0].network.cell.weight_ih, run.network.cell.weight_ih
    torch.testing.assert_close(new[:, 0], old[:, 1])
    assert not torch.allclose(new[:, 1], old[:, 0])
    wide = train(three_bits, steps=1)
    narrow = train(small_task, start=wide, steps=1, learning_rate=1e-12)
    torch.testing.assert_close(narrow.network.cell.weight_ih, wide.network.cell.weight_ih[:, :2])
    assert not any(text.startswith("cell") for text in narrow.start.reset)


def test_going_on_from_a_run_resumes_after_a_kill_and_loads(small_task, small_runs, tmp_path, monkeypatch):
    whole = train(small_task, start=small_runs[0])
    assert not same(whole, small_runs[0])
    step = TRAIN["_gradient_step"]

    def dies(training):
        if training.state.step >= 8:
            training.save_checkpoint()
            raise Killed
        return step(training)

    with monkeypatch.context() as patch:
        patch.setitem(TRAIN, "_gradient_step", dies)
        with suppress(Killed):
            train(small_task, start=small_runs[0], out=tmp_path / "r")
    with pytest.raises(ValueError, match=r"another config \(other start\)"):
        train(small_task, start=whole, out=tmp_path / "r")
    assert same(train(small_task, start=small_runs[0], out=tmp_path / "r"), whole)
    loaded = load(tmp_path / "r")
    assert loaded.start.name == "GRU-7" and loaded.config()["start"] == whole.config()["start"]
    assert all(torch.equal(a, b) for a, b in zip(loaded.start.network.parameters(), small_runs[0].network.parameters()))


def test_the_command_line_keeps_and_goes_on(tmp_path, capsys):
    task = ["--task", "NBitFlipFlop", "--task.n_timesteps", "30"]
    quick = ["--recipe.steps", "4", "--recipe.batch_size", "4", "--progress", "false"]
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    network = ["--network", "GRU", "--network.latent_size", "5"]
    main(["train", *task, "--task.n", "2", *network, *quick, "--out", a, "--keep", "0,2"])
    main(["train", *task, "--task.n", "3", *quick, "--out", b, "--start", a, "--keep", "log"])
    assert load(a).snapshots.steps == (0, 2) and load(b).snapshots.steps == (0, 1, 2, 3, 4)
    assert load(b).start.name == "GRU-5"
    main(["repeat", b, "--out", str(tmp_path / "c"), "--progress", "false"])
    assert "bit for bit" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["train", *task, "--task.n", "2", *network, *quick, "--out", str(tmp_path / "d"), "--keep", "0,two"])
    assert "`keep`: expected steps separated by commas" in capsys.readouterr().err
