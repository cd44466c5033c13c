import inspect
import subprocess
import sys

import pytest

from conjugacy import networks, tasks
from conjugacy.cli import main
from conjugacy.cli.entry import COMMANDS
from conjugacy.cli.train_flags import NOT_NAMED, documented_classes, documented_settings
from conjugacy.training.recipe import Recipe

HEAVY = {"torch", "pandas", "scipy", "sklearn", "matplotlib", "numba", "pytorch_lightning"}


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([*filter(None, [command]), "--help"])
    out = capsys.readouterr().out
    assert end.value.code == 0 and "usage: conjugacy" in out
    for name in inspect.signature(COMMANDS[command].command).parameters if command else COMMANDS:
        assert name in out or name.rstrip("s").upper() in out


def test_help_imports_nothing_that_computes():
    code = "import sys\nfrom conjugacy.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
    code += "sys.stderr.write(','.join(sys.modules))"
    for args in (["--version"], ["train", "--help"], ["compare", "--help"]):
        done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=True)
        assert not HEAVY & set(done.stderr.split(","))


@pytest.mark.parametrize("package", [tasks, networks])
def test_help_names_every_class_that_can_be_trained(package):
    name = package.__name__.split(".")[1]
    public = {n for n in package.__all__ if inspect.isclass(getattr(package, n))} - NOT_NAMED[name]
    listed = dict(documented_classes(name))
    assert set(listed) == public
    assert all(inspect.getdoc(getattr(package, n)).startswith(text) and text for n, text in listed.items())


def test_help_explains_every_setting_of_a_recipe():
    listed = dict(documented_settings())
    assert list(listed) == Recipe.names() and all(listed.values())


def test_help_of_a_class_lists_what_it_takes(capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", "--task", "NBitFlipFlop", "--network", "LowRankRNN", "--help"])
    out = capsys.readouterr().out
    assert end.value.code == 0
    assert (
        "--task.switch_prob (default: 0.015)" in out and "--network.rank" in out and "Probability p of a pulse" in out
    )


@pytest.mark.parametrize("args", [["help", "show"], ["--help", "show"], ["-h", "show"]])
def test_help_of_a_command_is_asked_for_in_any_order(args, capsys):
    with pytest.raises(SystemExit) as end:
        main(args)
    assert end.value.code == 0 and "usage: conjugacy show" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (["trian"], "train"),
        (["fixed_points", "a"], "fixed-points"),
        (["--halp"], "--help"),
        (["--verison"], "--version"),
        (["show", "a", "--otu", "b"], "--out"),
        (["train", "--tsk", "NBitFlipFlop"], "--task"),
        (["train", "--task", "NBitFlipFlop", "--networks.latent_size", "4"], "--network.latent_size"),
        (["train", "--task", "NBitFlipFlop", "--recipes.steps", "4"], "--recipe.steps"),
        (["train", "--task", "NBitflipflop"], "NBitFlipFlop"),
        (["train", "--task", "NBitFlipFlop", "--task.noize", "0"], "noise"),
        (["train", "--task", "NBitFlipFlop", "--recipe.step", "4"], "steps"),
    ],
)
def test_what_is_mistyped_gets_a_suggestion(args, meant, capsys):
    with pytest.raises(SystemExit) as end:
        main(args)
    error = capsys.readouterr().err
    assert end.value.code == 2 and f"Did you mean {meant!r}?" in error and error.count("\n") == 1


def test_the_package_itself_can_be_run():
    done = subprocess.run([sys.executable, "-m", "conjugacy", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("conjugacy ")
