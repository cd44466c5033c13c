import functools
import json
import shlex

import numpy as np
import pandas as pd
import pytest

import conjugacy as cj
from conjugacy.cli import main
from conjugacy.cli.entry import COMMANDS

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


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "--task", "NBitFlopFlop"], "conjugacy train: `--task`: expected one of 'ChaoticDelayedMatching'"),
        ([*TRAIN, "--network", "GRUU"], "Did you mean 'GRU'?"),
        ([*TRAIN, "--out", "x"], "`--network.latent_size`: required by GRU, and not given."),
        ([*TRAIN, "--network.latent_size", "0", "--out", "x"], "`latent_size`: expected an integer >= 1, got 0."),
        ([*TRAIN, "--network.latnt_size", "3", "--out", "x"], "GRU takes no 'latnt_size'. Did you mean 'latent_size'?"),
        ([*TRAIN, "--network.latent_size", "3", "--task.switch_prob", "0.7", "--out", "x"], "`switch_prob`: expected"),
        ([*TRAIN, "--network.latent_size", "3", "--task.noise", "-1", "--out", "x"], "`noise`: expected a number in"),
        ([*TRAIN, "--network.latent_size", "five", "--out", "x"], "expected a whole number, got 'five'."),
        ([*TRAIN, "--network.latent_size", "5"], "`--out`: required, and not given."),
        ([*TRAIN, "--network.latent_size", "5", "--recipe.stepz", "3"], "`--recipe.stepz`: there is no such setting."),
        ([*TRAIN, "--network.latent_size", "5", "--recipe.steps", "few"], "expected a whole number, got 'few'."),
        (
            [*TRAIN, "--network.latent_size", "5", "--outt", "x"],
            "no such flag. Did you mean '--out'?",
        ),
        ([*TRAIN, "--network.latent_size", "5", "--out", "x", "--device", "cuba"], "`device`: "),
        ([*TRAIN, "--network.latent_size", "5", "--out", "x", "--seed", "-1"], "`seed`: expected an integer >= 0"),
        (["train", "--network", "GRU", "--out", "x"], "`--task`: required, and not given."),
        (["train", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["show", "nowhere"], "conjugacy show: `folder`: nowhere does not exist, so it holds no run."),
        (["show"], "`RUN`: required, and not given."),
        (["show", "a", "b"], "unexpected 'b'"),
        (["compare", "nowhere", "nowhere"], "conjugacy compare: `folder`: nowhere does not exist"),
        (["compare", "nowhere", "--mesures", "dsa"], "Did you mean '--measures'?"),
        (["compare", "nowhere", "--n_trials", "many"], "`--n_trials`: expected a whole number, got 'many'."),
        (["compare", "nowhere", "--n_trials"], "`--n_trials`: expected a value after it."),
        (["check-measures", "--measures", "dsaa"], "Did you mean 'dsa'?"),
        (["check-measures", "--progress", "perhaps"], "`--progress`: expected true or false, got 'perhaps'."),
        (["fixed-points", "nowhere", "--inputs", "0,x"], "`inputs`: expected numbers separated by commas, got '0,x'."),
        (["sweep", "nowhere.yaml"], "nowhere.yaml"),
        (["trian"], "`command`: expected one of demo, train"),
        (["trian"], "Did you mean 'train'?"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(args, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(args)
    error = capsys.readouterr().err
    assert end.value.code == 2 and message in error and "Traceback" not in error
    assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_spaces_after_commas_do_no_harm(small_runs, tmp_path, capsys):
    folders = [str(run.save(tmp_path / str(i))) for i, run in enumerate(small_runs[:2])]
    main(["compare", *folders, "--measures", "cka, procrustes", "--names", "one, two", "--n_trials", "12"])
    assert "one <-> two" in capsys.readouterr().out


def test_a_command_that_is_interrupted_says_so_in_a_line(monkeypatch, capsys):
    def interrupted(out: str = "demo"):
        raise KeyboardInterrupt

    monkeypatch.setattr(COMMANDS["demo"], "command", interrupted)
    with pytest.raises(SystemExit) as end:
        main(["demo"])
    assert end.value.code == 130
    assert capsys.readouterr().err.strip().startswith("conjugacy demo: interrupted.")


def test_an_error_of_conjugacy_itself_is_a_line_too(monkeypatch, capsys):
    def broken(out: str = "demo"):
        return {}["key"]

    monkeypatch.setattr(COMMANDS["demo"], "command", broken)
    with pytest.raises(SystemExit) as end:
        main(["demo"])
    said = capsys.readouterr().err
    assert end.value.code == 1 and "unexpected KeyError: 'key'" in said and len(said.splitlines()) == 1
    with pytest.raises(SystemExit):
        main(["demo", "--traceback"])
    assert "Traceback" in capsys.readouterr().err


def test_no_command_line_ends_in_a_traceback(monkeypatch, tmp_path):
    """300 command lines of right and wrong words; commands that would work are not run."""
    monkeypatch.chdir(tmp_path)
    words = [
        "train",
        "compare",
        "show",
        "fixed-points",
        "sweep",
        "repeat",
        "check-measures",
        "demo",
        "help",
        "-x",
        "--",
    ]
    words += [
        "--task",
        "NBitFlipFlop",
        "--task.n",
        "--network",
        "GRU",
        "LSTM",
        "--network.latent_size",
        "3",
        "-3",
        "1e9",
    ]
    words += [
        "--out",
        "--seed",
        "nan",
        "",
        " ",
        "é",
        "--recipe.steps",
        "--recipe",
        "=",
        "--task=",
        "--names",
        "a,b",
        "--config",
    ]
    words += ["--n_trials", "--measures", "dsa,", "--print_config", "--null", "--help", "--version", "--progress", "no"]
    rng = np.random.default_rng(0)
    for flags in COMMANDS.values():
        monkeypatch.setattr(flags, "command", functools.wraps(flags.command)(lambda **_: None))
    codes = []
    for _ in range(300):
        args = [str(w) for w in rng.choice(words, size=rng.integers(1, 7))]
        try:
            main(args)
            codes.append(0)
        except SystemExit as end:
            codes.append(end.code)
    assert set(codes) <= {0, 2}, [c for c in codes if c not in (0, 2)]


def test_show_on_an_interrupted_training_gives_the_command_that_goes_on(tmp_path, capsys, monkeypatch):
    from conjugacy.training.interrupts import Interrupts

    calls = []

    def pressed_after_two(self):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    folder = str(tmp_path / "a run")
    begun = [*TRAIN, "--network.latent_size", "5", "--seed", "3", *QUICK, "--recipe.eval_every", "1", "--out", folder]
    monkeypatch.setattr(Interrupts, "check", pressed_after_two)
    main(begun)
    assert capsys.readouterr().out.startswith("Interrupted. The same command goes on")
    main(["show", folder])
    said = capsys.readouterr().out
    assert "interrupted at step 2 of at most 3" in said
    given = shlex.split(" ".join(said.partition("conjugacy train")[2].split()))
    monkeypatch.undo()
    main(["train", *given, "--progress", "false"])
    assert "stopped" in capsys.readouterr().out and cj.load(folder).metrics["steps"] == 3


def test_what_is_printed_fits_a_terminal_and_is_aligned(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    folders = [str(tmp_path / name) for name in ("a", "b")]
    for seed, folder in enumerate(folders):
        main([*TRAIN, "--network.latent_size", "4", "--seed", str(seed), *QUICK, "--out", folder])
    main(["show", folders[0]])
    main(["compare", *folders, "--measures", "cka,procrustes", "--n_trials", "12", "--names", "a,b"])
    main(["fixed-points", folders[0], "--n_inits", "16", "--progress", "false", "--out", str(tmp_path / "points")])
    out, err = capsys.readouterr()
    assert err == "" and max(map(len, out.splitlines())) <= 110
    table = [line for line in out.splitlines() if "a <-> b" in line]
    head = next(line for line in out.splitlines() if line.lstrip().startswith("measure "))
    assert len(table) == 2 and {line.index("a <-> b") for line in table} == {head.index("direction")}
    assert "nan" not in out.lower().split()


def test_compare_says_its_verdict_and_keeps_it(tmp_path, capsys):
    folders = [str(tmp_path / name) for name in ("a", "b")]
    for seed, folder in enumerate(folders):
        main([*TRAIN, "--network.latent_size", "4", "--seed", str(seed), *QUICK, "--out", folder])
    capsys.readouterr()
    with pytest.warns(UserWarning, match="below the threshold"):
        main(["compare", *folders, "--measures", "procrustes", "--n_trials", "12", "--verdict", "--out", str(tmp_path)])
    said = (tmp_path / "verdict.txt").read_text()
    assert "neither does the task" in said
    assert " ".join(said.split()) in " ".join(capsys.readouterr().out.split())


def test_a_folder_that_is_misspelt_or_unfinished_says_what_to_do(tmp_path, capsys):
    main([*TRAIN, "--network.latent_size", "5", *QUICK, "--out", str(tmp_path / "gru-five")])
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["compare", str(tmp_path / "gru-five"), str(tmp_path / "gru-fve")])
    assert "Did you mean 'gru-five'?" in capsys.readouterr().err
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "checkpoint.safetensors").write_bytes(b"")
    with pytest.raises(SystemExit):
        main(["compare", str(tmp_path / "gru-five"), str(tmp_path / "half")])
    assert "a training that was interrupted, and no run yet" in capsys.readouterr().err
    for folder, advice in (
        (tmp_path, "There are runs in gru-five within it: name one of these."),
        (tmp_path / "killed", "A training was stopped there before it kept anything: give its command again"),
    ):
        folder.mkdir(exist_ok=True)
        (folder / ".lock").touch()
        with pytest.raises(SystemExit):
            main(["show", str(folder)])
        assert f"{folder} has no config.json, so it holds no run. {advice}" in capsys.readouterr().err
