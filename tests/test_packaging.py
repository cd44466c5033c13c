"""What people get from the index: the wheel and the source distribution, and the wheel in an environment of its own."""

import hashlib
import importlib.util
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION = runpy.run_path(str(ROOT / "src" / "conjugacy" / "_version.py"))["__version__"]


def without(*names):
    """The environment of this session less these variables."""
    return {k: v for k, v in os.environ.items() if k not in names}


def run(*command, **options):
    """Run a command that has to work, and return what it prints."""
    options = {"env": without("PYTHONPATH"), **options}
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, encoding="utf-8", **options)
    assert done.returncode == 0, f"{command}:\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def build(source, kinds, out):
    run(sys.executable, "-m", "hatchling", "build", "-d", out, *(a for k in kinds for a in ("-t", k)), cwd=source)
    return {path.suffix: path for path in out.iterdir()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the source distribution of this checkout."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("needs hatchling: pip install hatchling")
    return build(ROOT, ("sdist", "wheel"), tmp_path_factory.mktemp("dist"))


def files_of(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_the_package_and_nothing_else(built):
    files = files_of(built[".whl"])
    assert {name.split("/")[0] for name in files} == {"conjugacy", f"conjugacy-{VERSION}.dist-info"}
    sources = [p for p in (ROOT / "src" / "conjugacy").rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert {n for n in files if n.startswith("conjugacy/")} == {p.relative_to(ROOT / "src").as_posix() for p in sources}
    assert files["conjugacy/py.typed"] == b""
    assert sum(map(len, files.values())) < 6e6 and built[".whl"].stat().st_size < 3e6


def test_what_the_index_shows(built):
    found = Parser().parsestr(files_of(built[".whl"])[f"conjugacy-{VERSION}.dist-info/METADATA"].decode())
    assert (found["Name"], found["Version"], found["License-Expression"]) == ("conjugacy", VERSION, "MIT")
    assert found["Requires-Python"] == ">=3.11" and found["License-File"] == "LICENSE"
    assert found["Description-Content-Type"] == "text/markdown" and found.get_payload().startswith("# conjugacy")
    assert set(found.get_all("Provides-Extra")) == set(PROJECT["optional-dependencies"])
    needed = [r for r in found.get_all("Requires-Dist") if "extra ==" not in r]
    assert {re.match(r"[\w-]+", r)[0] for r in needed} == {re.match(r"[\w-]+", r)[0] for r in PROJECT["dependencies"]}
    from trove_classifiers import classifiers

    assert set(found.get_all("Classifier")) <= classifiers
    named = {f"3.{minor}" for minor in (11, 12, 13)}
    assert named <= {c.rpartition(" ")[2] for c in found.get_all("Classifier") if "Python :: 3." in c}
    scripts = files_of(built[".whl"])[f"conjugacy-{VERSION}.dist-info/entry_points.txt"].decode()
    assert "conjugacy = conjugacy.cli:main" in scripts


def test_the_source_distribution_has_what_tests_and_pages_need_and_makes_the_same_wheel(built, tmp_path):
    with tarfile.open(built[".gz"]) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / f"conjugacy-{VERSION}"
    for name in ("src", "tests", "docs", "benchmarks", "Makefile", "constraints.txt", "CONTRIBUTING.md", "SECURITY.md"):
        assert (unpacked / name).exists(), name
    assert (unpacked / "tests" / "written_by_0_1" / "notebook" / "models_reach" / "model.pkl").exists()
    left = {p.suffix for p in unpacked.rglob("*") if p.is_file()} & {".pyc", ".nbc", ".nbi"}
    assert not left and not (unpacked / ".venv").exists() and built[".gz"].stat().st_size < 4e6
    again = build(unpacked, ("wheel",), tmp_path / "again")[".whl"]
    assert files_of(again) == files_of(built[".whl"])


def test_it_draws_without_a_display_and_without_make(built, tmp_path):
    with zipfile.ZipFile(built[".whl"]) as archive:
        archive.extractall(tmp_path)
    env = {**without("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND", "XAUTHORITY"), "PYTHONPATH": str(tmp_path)}
    env["PATH"] = str(Path(sys.executable).parent)
    code = (
        "import conjugacy as cj\n"
        f"assert cj.__file__.startswith({str(tmp_path)!r}) and cj.__version__ == {VERSION!r}\n"
        "cj.tasks.NBitFlipFlop(n=1, n_timesteps=20).render(seed=0).savefig('task.png')"
    )
    run(sys.executable, "-c", code, env=env, cwd=tmp_path)
    assert (tmp_path / "task.png").stat().st_size > 1000


def test_the_papers_agree_on_the_version():
    faults = list(runpy.run_path(str(ROOT / "tests" / "release_check.py"))["faults"](f"v{VERSION}"))
    # the addresses are known once the repository is public; until then nothing can be released
    assert [f for f in faults if "[project.urls]" not in f] == []


def test_a_release_that_does_not_agree_is_refused(tmp_path):
    for name in ("CHANGELOG.md", "CITATION.cff", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "src" / "conjugacy").mkdir(parents=True)
    (tmp_path / "src" / "conjugacy" / "_version.py").write_text('__version__ = "0.9"\n')
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    found = "\n".join(runpy.run_path(str(ROOT / "tests" / "release_check.py"))["faults"]("v0.8", tmp_path))
    for part in ("expected v0.9", "CHANGELOG.md begins with", "CITATION.cff cites", "no [project.urls]"):
        assert part in found


def test_the_citation_has_the_papers_of_every_measure():
    import yaml

    from conjugacy.similarity.measure import get_measure, measure_names

    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0" and cited["license"] == PROJECT["license"]
    known = set()
    for paper in cited["references"]:
        assert paper["title"] and paper["type"] in ("article", "book", "conference-paper", "generic")
        assert all(set(author) == {"family-names", "given-names"} for author in paper["authors"])
        assert re.fullmatch(r"10\.\d{4,}/\S+", paper.get("doi", "10.1234/none"))
        known.add((paper["authors"][0]["family-names"], paper["year"]))
    for name in measure_names():
        reference = get_measure(name).traits.reference
        assert any(author in reference and str(year) in reference for author, year in known), f"{name}: {reference}"


def test_the_oldest_versions_are_read_from_pyproject():
    oldest = runpy.run_path(str(ROOT / "tests" / "oldest_versions.py"))["oldest"]
    found = dict(line.split("==") for line in oldest(PROJECT))
    assert len(found) == len(PROJECT["dependencies"]) + len(PROJECT["optional-dependencies"]["test"])
    table = {
        "dependencies": ["a>=1.2", "b-c[d]>=3,<4"],
        "optional-dependencies": {"test": ["e>=5.6"], "other": ["f>=7"]},
    }
    assert oldest(table) == ["a==1.2", "b-c==3", "e==5.6"]
    assert oldest(table, ("other",), ("a",)) == ["b-c==3", "f==7"]


# in an environment of its own --------------------------------------------------------------------------

THEIRS = {"__init__.py": "from ctd.read import from_cnv\n", "read.py": "def from_cnv():\n    return 'a cast'\n"}
SHORT_DEMO = """
import functools, pathlib, sys, warnings
warnings.simplefilter("ignore", UserWarning)  # networks trained for two steps do not do the task
import conjugacy as cj
from conjugacy import demo
demo.train = functools.partial(demo.train, steps=2, batch_size=4)
demo.compare = functools.partial(demo.compare, n_resamples=10, n_surrogates=5)
demo.MEASURES = ("state_r2", "cka")
demo.GRU = lambda latent_size: cj.networks.GRU(6)
from conjugacy.cli import main
main(["demo", "--out", sys.argv[1], "--progress", "false"])
"""


@pytest.fixture(scope="module")
def python(built, tmp_path_factory):
    """The Python of a new environment, into which plain pip has installed the wheel; torch alone by its pin."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", folder)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    asked = subprocess.run(
        [*map(str, pip), "download", "--quiet", "--no-deps", "--dest", str(folder / "asked"), "tqdm"],
        capture_output=True,
        text=True,
        env=without("PYTHONPATH"),
    )
    if asked.returncode:
        pytest.skip(f"needs a package index, which cannot be reached: {asked.stderr.strip().splitlines()[-1][:200]}")
    pin = next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))
    run(*pip, "install", "--quiet", built[".whl"], pin)
    run(*pip, "check")
    return python


def package_ctd(python):
    return Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()) / "ctd"


@pytest.mark.slow
def test_the_command_and_the_demo_run_where_it_is_installed(python, tmp_path):
    command = python.with_name("conjugacy")
    assert run(command, "--version", cwd=tmp_path).strip() == f"conjugacy {VERSION}"
    where = run(python, "-c", "import conjugacy; print(conjugacy.__file__)", cwd=tmp_path)
    assert str(python.parents[1]) in where
    out = run(python, "-c", SHORT_DEMO, "demo", cwd=tmp_path)
    assert "Do they compute the same thing?" in out
    made = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert {"demo/report.html", "demo/comparison.csv", "demo/gru-6/weights.safetensors"} <= made
    assert all(name.startswith("demo/") for name in made)


@pytest.mark.slow
def test_the_package_ctd_of_others_stays_as_it_is(python, built, tmp_path):
    code = "import ctd.task_modeling.model.rnn as rnn; print(rnn.GRU_RNN(4).latent_size, rnn.__name__)"
    step = "import conjugacy; conjugacy.install_ctd(); "
    env = {**without("PYTHONPATH"), "PYTHONDONTWRITEBYTECODE": "1"}
    assert run(python, "-c", step + code, cwd=tmp_path, env=env).split() == [
        "4",
        "conjugacy.ctd.task_modeling.model.rnn",
    ]
    package = package_ctd(python)
    package.mkdir()
    for name, text in THEIRS.items():
        (package / name).write_text(text)
    hashes = {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in package.rglob("*")}
    # the wheel once more, over it
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", built[".whl"])
    assert run(python, "-c", step + code, cwd=tmp_path, env=env).split()[0] == "4"
    assert run(python, "-c", "import conjugacy, ctd; print(ctd.from_cnv())", cwd=tmp_path, env=env).strip() == "a cast"
    run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "conjugacy")
    assert {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in package.rglob("*")} == hashes
    assert run(python, "-c", "import ctd; print(ctd.from_cnv())", cwd=tmp_path, env=env).strip() == "a cast"
