"""Recordings on the command line: what a file holds, and a recording beside networks with the steps as flags."""

import numpy as np
import pandas as pd
import pytest

import conjugacy as cj
from conjugacy.cli import main

TRAIN = ["train", "--task", "NBitFlipFlop", "--task.n", "2", "--task.n_timesteps", "30", "--network", "GRU"]
QUICK = ["--network.latent_size", "4", "--recipe.steps", "2", "--recipe.batch_size", "4", "--progress", "false"]


@pytest.fixture
def folder(tmp_path):
    main([*TRAIN, *QUICK, "--out", str(tmp_path / "net")])
    run = cj.load(tmp_path / "net")
    cj.simulate_spikes(run, 8, 30, n_held_out=0, mean_rate=30.0).save(tmp_path / "animal.npz")
    return tmp_path


def test_record_info_says_what_a_file_holds(folder, capsys):
    capsys.readouterr()
    main(["record", "info", str(folder / "animal.npz")])
    said = capsys.readouterr().out
    assert "30 trials x 30 bins x 8 units" in said and "mean rates" in said and "conditions" in said
    for args in (["record", "show", str(folder / "animal.npz")], ["record", "info", str(folder / "none.npz")]):
        with pytest.raises(SystemExit):
            main(args)
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.filterwarnings("ignore:.*no interval:UserWarning")
def test_a_recording_beside_a_network_with_its_steps_as_flags(folder, capsys):
    files = [str(folder / "animal.npz"), str(folder / "net")]
    width = str(cj.Recording.load(folder / "animal.npz").bin_size)
    steps = ["--sqrt", "true", "--smooth", str(3 * float(width)), "--causal", "true", "--soft_normalise", "true"]
    quick = ["--n_trials", "12", "--progress", "false"]
    main(["compare", *files, "--measures", "cka", *steps, "--match", "inputs", *quick, "--out", str(folder / "out")])
    said = " ".join(capsys.readouterr().out.split())
    assert "square root; smoothed with a causal Gaussian" in said and "driven by the inputs of" in said
    table = pd.read_csv(folder / "out" / "comparison.csv", index_col=[0, 1, 2])
    recording = cj.Recording.load(folder / "animal.npz").sqrt().smooth(3 * float(width), causal=True).soft_normalise()
    expected = cj.compare([recording, cj.load(folder / "net")], "cka", match="inputs", n_trials=12).table()
    np.testing.assert_allclose(table["a <-> b"], expected["a <-> b"])
    assert (folder / "out" / "affine_overlay.png").exists()
    main(["compare", *files, "--measures", "timescales", "--smooth", width, *quick, "--out", str(folder / "unpaired")])
    assert not (folder / "unpaired" / "affine_overlay.png").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--window", "1"], "two numbers with a comma between"),
        (["--causal", "true"], "`causal`"),
        (["--condition", "side"], "`condition`: expected only with NWB files"),
        (["--resample", "0.02"], "expected rates to resample, got counts"),
        (["--bin_size", "0.0123"], "`bin_size`"),
    ],
)
def test_flags_that_do_not_fit_are_refused_in_one_line(folder, capsys, flags, message):
    with pytest.raises(SystemExit):
        main(["compare", str(folder / "animal.npz"), str(folder / "net"), *flags])
    said = capsys.readouterr().err.strip()
    assert message in said and len(said.splitlines()) == 1


def test_an_nwb_file_is_compared_as_it_is(folder, capsys):
    pynwb = pytest.importorskip("pynwb", reason="pynwb is not installed")
    import datetime

    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    file = pynwb.NWBFile(session_description="made by a test", identifier="x", session_start_time=now)
    rng = np.random.default_rng(0)
    for _ in range(6):
        file.add_unit(spike_times=np.sort(rng.uniform(0, 60, 900)))
    file.add_trial_column("side", "condition")
    for k in range(25):
        file.add_trial(start_time=2.0 * k + 1, stop_time=2.0 * k + 2, side="lr"[k % 2])
    with pynwb.NWBHDF5IO(str(folder / "a.nwb"), "w") as io:
        io.write(file)
    width = str(cj.load(folder / "net").task.dt)
    flags = ["--bin_size", width, "--window", "0,0.9", "--condition", "side", "--smooth", "0.05", "--progress", "false"]
    main(["compare", str(folder / "a.nwb"), str(folder / "net"), "--measures", "timescales", *flags])
    assert "a <-> GRU-4" in capsys.readouterr().out
