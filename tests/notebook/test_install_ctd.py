"""CtDB's import paths in one step, beside another package of that name, whose files stay as they are."""

import hashlib
import importlib
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import conjugacy

SOURCES = Path(conjugacy.__file__).parents[1]


@pytest.fixture
def theirs(tmp_path):
    """A folder on the path with a package called ctd that is not ours."""
    package = tmp_path / "site" / "ctd"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from ctd.read import from_cnv\n")
    (package / "read.py").write_text("def from_cnv():\n    return 'a cast'\n")
    return package


def played(code, *places, clone=False):
    """What a new session without this repository's tests prints, and its stderr; as installed from a wheel, or not."""
    if not clone:
        code = f"import conjugacy, sys; sys.path[:] = [p for p in sys.path if p != {str(SOURCES)!r}]\n{code}"
    # no bytecode: what is in the folders is what a session left there
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*places, SOURCES])), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    return done.stdout.strip(), done.stderr.strip().split("\n")[-1]


def contents(folder):
    return {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}


def test_before_the_step_the_name_is_not_ours(theirs):
    assert played("import conjugacy, ctd")[1] == "ModuleNotFoundError: No module named 'ctd'"
    assert played("import conjugacy, ctd; print(ctd.from_cnv())", theirs.parent) == ("a cast", "")


def test_the_step_hides_the_other_package_for_a_session_and_touches_nothing(theirs):
    before = contents(theirs.parent)
    code = (
        "import conjugacy; conjugacy.install_ctd(); import ctd.task_modeling.model as m; print(m.__name__, m.__file__)"
    )
    out, error = played(code, theirs.parent)
    assert error == "" and out.startswith("conjugacy.ctd.task_modeling.model ")
    assert str(theirs) not in out
    assert contents(theirs.parent) == before
    assert played("import ctd; print(ctd.from_cnv())", theirs.parent) == ("a cast", "")


def test_a_package_that_was_imported_before_is_named(theirs):
    _, error = played("import ctd; conjugacy.install_ctd()", theirs.parent)
    assert error.startswith(
        f"RuntimeError: `ctd`: another package of this name, {theirs / '__init__.py'}, was imported"
    )
    assert "Restart" in error and "import from conjugacy.ctd in place of ctd" in error
    # one without a file of its own, a folder that lies about
    (theirs / "__init__.py").unlink()
    assert f"of this name, {theirs}, was" in played("import ctd, conjugacy; conjugacy.install_ctd()", theirs.parent)[1]


def test_on_a_clone_the_step_makes_itself():
    code = """
import ctd
from ctd.task_modeling.model.rnn import GRU_RNN
import conjugacy
conjugacy.install_ctd()
from conjugacy.ctd.task_modeling.model import rnn
print(ctd.__name__, GRU_RNN is rnn.GRU_RNN)
"""
    assert played(code, clone=True) == ("conjugacy.ctd True", "")


def test_both_paths_lead_to_the_same_modules():
    conjugacy.install_ctd()
    conjugacy.install_ctd()
    assert sum(type(f).__module__ == "conjugacy.ctd._install" for f in sys.meta_path) == 2
    for path in sorted((SOURCES / "conjugacy" / "ctd").rglob("*.py")):
        parts = path.relative_to(SOURCES / "conjugacy").with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        module = importlib.import_module(name)
        assert module is importlib.import_module(f"conjugacy.{name}")
        assert module.__spec__.name == module.__name__ == f"conjugacy.{name}"


def test_pickles_name_the_path_that_needs_no_step():
    from ctd.task_modeling.task_env.multitask import MultiTaskWrapper

    assert b"conjugacy.ctd.task_modeling.task_env.multitask" in pickle.dumps(MultiTaskWrapper)


@pytest.mark.parametrize(
    ("statement", "hint"),
    [
        ("from motornet.effector import RigidTendonArm26", "pip install 'motornet<0.4'"),
        (
            "from motornet.effector import RigidTendonArm26",
            "from conjugacy.arm import RigidTendonArm26, MujocoHillMuscle",
        ),
        ("import dotenv", "pip install python-dotenv"),
        (
            "import ctd.data_modeling",
            "Of CtDB's modules conjugacy has those below ctd.comparison and ctd.task_modeling",
        ),
        ("from ctd import plotting", "cannot import name 'plotting' from 'conjugacy.ctd'"),
    ],
)
def test_what_the_cells_cannot_import_says_what_to_do(statement, hint):
    code = (
        "import sys, conjugacy; conjugacy.install_ctd()\n"
        "from importlib.machinery import PathFinder\n"
        "found = PathFinder.find_spec\n"
        "PathFinder.find_spec = lambda name, *rest: None if name in ('motornet', 'dotenv') else found(name, *rest)\n"
    )
    _, error = played(code + statement)
    assert hint in error
    name = statement.split()[1].split(".")[0]
    asked = "import importlib.util; print(importlib.util.find_spec({!r}))"
    if name != "ctd":
        assert error.startswith(f"ModuleNotFoundError: No module named '{name}'. ")
        assert played(code + asked.format(name)) == ("None", "")
    assert played(code + asked.format("ctd.data_modeling")) == ("None", "")


def test_the_paths_work_on_every_python_that_is_there():
    """The finder leans on how Python's own import works."""
    tried = [p for p in ("python3.11", "python3.12", "python3.13", "python3.14") if shutil.which(p)]
    code = (
        "import conjugacy; conjugacy.install_ctd(); import ctd.task_modeling.task_wrapper as w; print(w.__name__)\n"
        "try:\n    import motornet\nexcept ImportError as error:\n    print('pip install' in str(error))"
    )
    for python in tried:
        # without site packages: what is imported here needs none of them
        env = {**os.environ, "PYTHONPATH": str(SOURCES), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([python, "-S", "-c", code], env=env, capture_output=True, text=True)
        if done.returncode == 127:  # a shim of an interpreter that is not installed
            continue
        assert done.stdout.split() == ["conjugacy.ctd.task_modeling.task_wrapper", "True"], f"{python}: {done.stderr}"
