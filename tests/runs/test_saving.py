"""What is saved is whole, what is read is what was saved, and nothing of the user's is touched."""

import json
import os
import time
from contextlib import suppress

import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy.runs.folder import CONFIG


@pytest.fixture
def folder(small_runs, tmp_path):
    return small_runs[0].save(tmp_path / "gru")


def weights(run):
    return {k: v.tolist() for k, v in run.network.state_dict().items()}


def test_another_run_is_replaced_only_if_told(small_runs, folder):
    with pytest.raises(FileExistsError, match=r"^`folder`: .*gru holds another run\. .* overwrite=True to replace"):
        small_runs[1].save(folder)
    assert weights(cj.load(folder)) == weights(small_runs[0])
    small_runs[0].save(folder)  # the same run
    (folder / "notes.md").write_text("mine")
    small_runs[0].save(folder, keep_trials=True)
    small_runs[1].save(folder, overwrite=True)
    assert weights(cj.load(folder)) == weights(small_runs[1])
    assert (folder / "notes.md").read_text() == "mine" and not (folder / "trials.h5").exists()


@pytest.mark.parametrize("k", range(12))
def test_a_kill_while_a_run_is_replaced_leaves_one_that_loads(small_runs, folder, monkeypatch, k):
    class Killed(BaseException):
        pass

    calls = [0]

    def dead(real):
        def call(*args, **options):
            calls[0] += 1
            if calls[0] > k:
                raise Killed
            return real(*args, **options)

        return call

    with monkeypatch.context() as patch:
        for name in ("replace", "fsync", "unlink", "rename", "rmdir"):
            patch.setattr(os, name, dead(getattr(os, name)))
        with suppress(Killed):
            small_runs[1].save(folder, overwrite=True)
    assert weights(cj.load(folder)) in [weights(run) for run in small_runs]
    small_runs[1].save(folder, overwrite=True)
    assert weights(cj.load(folder)) == weights(small_runs[1])
    assert sorted(os.listdir(folder)) == ["config.json", "history.csv", "metrics.json", "weights.safetensors"]


def test_every_changed_value_of_the_config_is_noticed(folder):
    path = folder / CONFIG
    right = json.loads(path.read_text())

    def places(value):
        if isinstance(value, dict | list):
            for key in list(value) if isinstance(value, dict) else range(len(value)):
                yield value, key
                yield from places(value[key])

    n = len(list(places(right)))
    for k in range(n):
        config = json.loads(json.dumps(right))
        holder, key = list(places(config))[k]
        if key == "config_sha256":
            continue
        holder[key] = "other" if holder[key] != "other" else "another"
        path.write_text(json.dumps(config))
        with pytest.raises(ValueError, match=r"config\.json: "):
            cj.load(folder)
    path.write_text(json.dumps(right, sort_keys=True))  # another layout is no change
    assert cj.load(folder).seed == right["seed"]


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("seed", -1, r"`seed`: expected an integer >= 0, got -1"),
        ("recipe", [1], r"`recipe`: expected a dict, got '\[1\]'"),
        ("name", None, r"`name`: expected a str, got 'None'"),
        ("trials", {"n": 1}, r"config\.json: .*"),
        ("task", {"class": "NBitFlipFlop", "args": {"n": "x"}}, r"config\.json: `n`: expected an integer"),
        ("network", {"class": "GRU", "args": {"latent_size": 2**63}}, r"config\.json: .*"),
        ("input_size", 10**30, r"config\.json: .*"),
    ],
)
def test_a_config_that_somebody_means_to_change_is_still_checked(folder, entry, value, message):
    config = json.loads((folder / CONFIG).read_text()) | {entry: value}
    del config["config_sha256"]
    (folder / CONFIG).write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message) as caught:
        cj.load(folder)
    assert "\n" not in str(caught.value)


def test_a_run_without_a_hash_of_its_own_loads_with_a_note(folder):
    from conjugacy._notes import OlderFileWarning

    config = json.loads((folder / CONFIG).read_text())
    del config["config_sha256"]
    (folder / CONFIG).write_text(json.dumps(config))
    with pytest.warns(OlderFileWarning, match=r"config\.json: without a hash of its own"):
        cj.load(folder)


def test_line_ends_of_a_checkout_are_no_change(folder, small_runs):
    for name in ("config.json", "history.csv", "metrics.json"):
        (folder / name).write_bytes((folder / name).read_bytes().replace(b"\n", b"\r\n"))
    back = cj.load(folder)
    assert back.history.equals(small_runs[0].history) and back.metrics == small_runs[0].metrics


def test_links_and_mount_points_are_folders_like_others(small_runs, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "lost+found").mkdir()
    (tmp_path / "link").symlink_to("real")
    inode = (tmp_path / "real").stat().st_ino
    small_runs[0].save(tmp_path / "link")
    small_runs[1].save(tmp_path / "link", overwrite=True)
    assert cj.load(tmp_path / "real").name == small_runs[1].name
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").stat().st_ino == inode


@pytest.mark.parametrize("given", [5, None, "", b"x", ["a"]])
def test_what_is_no_path_is_refused_by_name(small_runs, given):
    with pytest.raises(TypeError, match=r"^`folder`: expected the path of a folder, got "):
        small_runs[0].save(given)


def test_a_folder_that_cannot_be_made_is_named(small_runs, tmp_path):
    (tmp_path / "file").write_text("x")
    for bad in (tmp_path / "file", tmp_path / "file" / "x", tmp_path / ("a" * 300)):
        with pytest.raises((OSError, ValueError), match=r"^`folder`: .*\.$"):
            small_runs[0].save(bad)
    with pytest.raises(ValueError, match=r"^`folder`: expected the path of a folder, got "):
        small_runs[0].save("a\0b")


def test_numbers_of_numpy_are_saved_as_plain_ones(small_runs, tmp_path):
    from dataclasses import replace

    run = replace(
        small_runs[0],
        seed=np.int64(1),
        metrics={"test_r2": np.float32(0.5), "steps": np.int64(3), "flags": [np.bool_(True)]},
        recipe={**small_runs[0].recipe, "steps": np.int64(12)},
    )
    back = cj.load(run.save(tmp_path / "r"))
    assert back.metrics == {"test_r2": 0.5, "steps": 3, "flags": [True]} and type(back.seed) is int
    bad = replace(run, metrics={"curve": torch.ones(3)})
    with pytest.raises(TypeError, match=r"^`metrics\['curve'\]`: expected a number, .* got Tensor"):
        bad.save(tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_weights_in_double_precision_come_back_so(small_task, tmp_path):
    from dataclasses import replace

    run = cj.train(small_task, cj.networks.GRU(3), steps=2, batch_size=4, eval_every=2, progress=False)
    double = replace(run, network=run.network.double())
    with torch.no_grad():
        double.network.latent_ics += 1e-12
    back = cj.load(double.save(tmp_path / "r"))
    assert back.network.latent_ics.dtype == torch.float64
    assert torch.equal(back.network.latent_ics, double.network.latent_ics)


def test_the_trials_of_a_run_do_not_depend_on_torchs_defaults(small_runs):
    right = small_runs[0].trials("test").digest()
    torch.set_default_dtype(torch.float64)
    try:
        assert small_runs[0].trials("test").digest() == right
        assert small_runs[0].rollout("test").latents.dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


def test_saving_a_small_run_takes_no_time(small_runs, tmp_path):
    small_runs[0].save(tmp_path / "warm")
    times = []
    for k in range(5):
        start = time.perf_counter()
        small_runs[0].save(tmp_path / str(k))
        times.append(time.perf_counter() - start)
    assert min(times) < 0.2  # about 0.02 s on two quiet cores
