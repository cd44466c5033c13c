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
