import hashlib
import json
import os
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

import conjugacy as cj
from conjugacy.networks import Network


def edit_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    config.update(changes)
    config.pop("config_sha256", None)  # as by somebody who means the change
    (folder / "config.json").write_text(json.dumps(config))


def rehash(folder, name):
    """Make a changed file pass the hash check, to reach the checks behind it."""
    config = json.loads((folder / "config.json").read_text())
    config["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    config.pop("config_sha256", None)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.fixture
def folder(small_runs, tmp_path):
    return small_runs[0].save(tmp_path / "gru")


def test_a_run_comes_back_as_it_was(small_runs, tmp_path):
    for i, run in enumerate(small_runs):
        back = cj.load(run.save(tmp_path / str(i)))
        assert back.config() == run.config() and back.metrics == run.metrics
        assert back.history.equals(run.history)
        assert torch.equal(back.rollout().latents, run.rollout().latents)
        assert back.trials().digest() == run.trials().digest()
    assert sorted(os.listdir(tmp_path)) == ["0", "1"]


def test_a_folder_holds_no_pickle_and_few_files(folder):
    assert sorted(os.listdir(folder)) == ["config.json", "history.csv", "metrics.json", "weights.safetensors"]


def test_trials_can_be_kept(small_runs, tmp_path):
    import h5py

    run = small_runs[0]
    folder = run.save(tmp_path / "gru", keep_trials=True)
    with h5py.File(folder / "trials.h5") as f:
        assert torch.equal(torch.from_numpy(f["inputs"][:]), run.trials("all").inputs)
    cj.load(folder)


def test_saving_again_replaces_and_a_failed_save_leaves_the_old_run(small_runs, folder, monkeypatch):
    small_runs[1].save(folder, overwrite=True)
    assert cj.load(folder).name == small_runs[1].name

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            small_runs[0].save(folder, overwrite=True)
    assert cj.load(folder).name == small_runs[1].name
    assert os.listdir(folder.parent) == ["gru"] and len(os.listdir(folder)) == 4


def test_a_folder_with_other_things_is_refused(small_runs, tmp_path):
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(
        FileExistsError, match=r"^`folder`: .* exists and holds no run\. Name an empty or a new folder\.$"
    ):
        small_runs[0].save(tmp_path)


def test_what_is_missing_is_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist, so it holds no run"):
        cj.load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"has no config\.json, so it holds no run"):
        cj.load(tmp_path)
    (folder / "history.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"history\.csv: missing\. The run is incomplete"):
        cj.load(folder)


def test_a_truncated_weights_file_is_named(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(
        ValueError, match=r"weights\.safetensors: its content is not what was saved .* cut off or changed"
    ):
        cj.load(folder)
    rehash(folder, path.name)
    with pytest.raises(ValueError, match=r"weights\.safetensors: not a whole safetensors file"):
        cj.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("readout.bias"), "the weight 'readout.bias' is missing"),
        (lambda w: w.update(extra=torch.ones(1)), "the weight 'extra' is not part of the network"),
        (
            lambda w: w.update({"readout.bias": torch.ones(5)}),
            "the weight 'readout.bias' has shape (5,), the network takes (2,)",
        ),
        (
            lambda w: w.update({"readout.bias": torch.full((2,), torch.nan)}),
            "the weight 'readout.bias' holds NaN or infinite values",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(folder, change, message):
    weights = load_file(folder / "weights.safetensors")
    change(weights)
    save_file(weights, folder / "weights.safetensors")
    rehash(folder, "weights.safetensors")
    with pytest.raises(ValueError, match=re.escape(f"weights.safetensors: {message}")):
        cj.load(folder)


def test_newer_formats_broken_configs_and_unknown_classes_are_named(folder):
    edit_config(folder, format=99, versions={"conjugacy": "9.1"})
    with pytest.raises(
        ValueError, match=r"config\.json: written in format 99 by conjugacy 9\.1; .* Upgrade conjugacy\.$"
    ):
        cj.load(folder)
    edit_config(folder, format=1, network={"class": "GRU2", "args": {}})
    with pytest.raises(ValueError, match=r"config\.json: `network`: expected one of the classes .*, got 'GRU2'"):
        cj.load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json: not a run's config"):
        cj.load(folder)
    (folder / "config.json").write_text('{"format": 1}')
    with pytest.raises(ValueError, match=r"config\.json: the entries input_size, .*, trials are missing"):
        cj.load(folder)


def test_trials_that_are_no_longer_the_same_are_noticed(folder):
    config = json.loads((folder / "config.json").read_text())
    config["task"]["args"]["noise"] = 0.2
    config.pop("config_sha256")
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"the trials drawn from seed \d+ are not those of the run"):
        cj.load(folder)
    assert cj.load(folder, check_trials=False).task.noise == 0.2


class Halving(Network):
    """A network of one's own, with a class."""

    def __init__(self, latent_size, factor=0.5):
        super().__init__(latent_size, 0.0, 0.0)
        self.factor = factor

    def make_cell(self, input_size, generator):
        cell = torch.nn.RNNCell(input_size, self.latent_size)
        for p in cell.parameters():
            torch.nn.init.uniform_(p, -self.factor, self.factor, generator=generator)
        return cell

    def make_readout(self, output_size, generator):
        layer = torch.nn.Linear(self.latent_size, output_size)
        for p in layer.parameters():
            torch.nn.init.uniform_(p, -1, 1, generator=generator)
        return layer


def test_networks_of_ones_own_are_saved_and_loaded_by_class(small_task, tmp_path):
    run = cj.train(small_task, Halving(4), steps=2, batch_size=4, progress=False, out=tmp_path / "own")
    with pytest.raises(
        ValueError, match=r"A class of your own has to be named: load\(folder, classes=\[Halving\]\)\.$"
    ):
        cj.load(tmp_path / "own")
    back = cj.load(tmp_path / "own", classes=[Halving])
    assert torch.equal(back.rollout().outputs, run.rollout().outputs)


def test_a_system_has_the_map_behind_its_trajectories(small_runs):
    for run in small_runs:
        system = run.system()
        x, u = system.trajectories.double(), system.inputs.double()
        torch.testing.assert_close(system.step(x[:, :-1], u[:, 1:]), x[:, 1:], rtol=1e-4, atol=1e-5)
        assert system.step(x[:, :-1], u[:, 1:]).dtype == torch.float64
        assert system.readout(x).shape == (*x.shape[:2], 2)
        assert not any(p.requires_grad for p in system.cell.parameters())
        assert all(p.requires_grad and p.dtype == torch.float32 for p in run.network.parameters())
