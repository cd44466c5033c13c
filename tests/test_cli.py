import json

import pandas as pd
import pytest

import conjugacy as cj
from conjugacy.cli import main

TRAIN = ["train", "--task", "NBitFlipFlop", "--task.n", "2", "--task.n_timesteps", "30", "--network", "GRU"]
QUICK = ["--recipe.steps", "3", "--recipe.batch_size", "4", "--progress", "false"]


def test_train_show_repeat_compare(tmp_path, capsys):
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    main([*TRAIN, "--network.latent_size", "5", "--seed", "3", *QUICK, "--out", a])
    assert "GRU-5 on 2BFF, seed 3" in capsys.readouterr().out
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    assert config["task"]["args"]["n"] == 2 and config["recipe"]["steps"] == 3 and config["seed"] == 3
    main(["show", a, "--out", str(tmp_path / "figures")])
    shown = capsys.readouterr().out
    assert "test_r2" in shown and len(list((tmp_path / "figures").glob("*.png"))) == 3
    main(["repeat", a, "--out", b, "--progress", "false"])
    assert "bit for bit" in capsys.readouterr().out
    main(["compare", a, b, "--names", "first,second", "--n_trials", "12", "--out", str(tmp_path / "table")])
    assert "first -> second" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "table" / "comparison.csv", index_col=[0, 1, 2])
    runs = [cj.load(a), cj.load(b)]
    expected = cj.compare(runs, n_trials=12, names=["first", "second"]).table()
    pd.testing.assert_frame_equal(table, expected)


def test_a_config_file_stands_for_flags(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main([*TRAIN, "--network.latent_size", "5", *QUICK, "--out", str(tmp_path / "a"), "--print_config"])
    assert end.value.code == 0
    (tmp_path / "train.yaml").write_text(capsys.readouterr().out)
    main(["train", "--config", str(tmp_path / "train.yaml")])
    assert cj.load(tmp_path / "a").task.n == 2


@pytest.mark.parametrize("command", [[], ["train"], ["compare"], ["show"], ["repeat"], ["demo"]])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([*command, "--help"])
    assert end.value.code == 0
    assert "usage: conjugacy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "--task", "NBitFlopFlop"], "conjugacy train: `--task`: expected one of 'ChaoticDelayedMatching'"),
        ([*TRAIN, "--network", "GRUU"], "Did you mean 'GRU'?"),
        ([*TRAIN, "--out", "x"], "the following arguments are required: latent_size"),
        ([*TRAIN, "--network.latent_size", "0", "--out", "x"], "`latent_size`: expected an integer >= 1, got 0."),
        ([*TRAIN, "--network.latnt_size", "3", "--out", "x"], "Option 'latnt_size' is not accepted"),
        ([*TRAIN, "--network.latent_size", "3", "--task.switch_prob", "0.7", "--out", "x"], "`switch_prob`: expected"),
        ([*TRAIN, "--network.latent_size", "3", "--task.noise", "-1", "--out", "x"], "`noise`: expected a number in"),
        (["show", "nowhere"], "conjugacy show: `folder`: nowhere does not exist, so it holds no run."),
        (["compare", "nowhere", "nowhere"], "conjugacy compare: `folder`: nowhere does not exist"),
        (["trian"], "invalid choice: 'trian'"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(args, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(args)
    error = capsys.readouterr().err
    assert end.value.code == 2 and message in error and "Traceback" not in error
    assert len(error.strip().splitlines()) <= 2
    assert not list(tmp_path.iterdir())
