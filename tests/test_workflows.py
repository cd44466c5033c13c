"""The public workflows: their files are read, their actions pinned, and what they call is there."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# what is installed by name before it is called as a module; the tests' own come with the extra `test`
TOOLS = {"pip", "build", "twine", "pytest"}

pytestmark = pytest.mark.skipif(not FILES, reason="a source distribution has no workflows")


def read(path):
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    found["on"] = found.pop(True, found.get("on"))  # to YAML 1.1, the word on is a boolean
    return found


def steps():
    for path in FILES:
        for name, job in read(path)["jobs"].items():
            for step in job.get("steps", []):
                yield f"{path.name}: {name}", job, step


def commands():
    for place, job, step in steps():
        for line in str(step.get("run", "")).strip().splitlines():
            yield place, job, line.strip()


def test_there_are_tests_and_a_release():
    assert {p.name for p in FILES} == {"tests.yml", "release.yml"}
    for path in FILES:
        workflow = read(path)
        assert workflow["permissions"] == {"contents": "read"}
        for name, job in workflow["jobs"].items():
            if "uses" in job:
                assert (ROOT / job["uses"]).exists(), name
            else:
                assert 0 < job["timeout-minutes"] <= 240 and job["steps"], name
            needed = job.get("needs", [])
            assert {*([needed] if isinstance(needed, str) else needed)} <= set(workflow["jobs"]), name


def test_actions_are_pinned_to_a_commit():
    pins = {}
    for place, _, step in steps():
        if "uses" in step:
            action, commit = step["uses"].split("@")
            assert re.fullmatch(r"[0-9a-f]{40}", commit), f"{place}: {action}"
            assert pins.setdefault(action, commit) == commit, f"{place}: {action} is pinned twice"
    named = re.findall(r"uses: (\S+)@[0-9a-f]{40} # v\d+\.\d+\.\d+$", "".join(p.read_text() for p in FILES), re.M)
    assert set(named) == set(pins), "each pin says which version it is"


def test_tests_run_on_three_systems_with_every_python_that_is_promised():
    matrix = read(FOLDER / "tests.yml")["jobs"]["tests"]["strategy"]["matrix"]
    assert [s.split("-")[0] for s in matrix["system"]] == ["ubuntu", "macos", "windows"]
    promised = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", c)]
    assert matrix["python"] == promised and f">={promised[0]}" == PROJECT["requires-python"]


def test_every_command_calls_what_is_there():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for place, job, line in commands():
        words = line.split()
        called = f"{place}: {line}"
        if words[0] == "make":
            if words[1] == "docs" and "docs" not in PROJECT["optional-dependencies"]:
                continue  # what builds the pages is not declared yet
            assert words[1] in targets, called
            assert "windows" not in str(job["runs-on"]) and "matrix" not in str(job["runs-on"]), (
                f"{called}: no make there"
            )
        elif words[0] == "bash":
            assert (ROOT / words[1]).exists(), called
        elif words[:2] == ["python", "-m"]:
            assert words[2] in TOOLS, called
        elif words[0] == "python" and words[1] != "-c":
            assert (ROOT / words[1]).exists(), called
        elif words[0] == "conjugacy":
            from conjugacy.cli.entry import COMMANDS

            assert words[1] in {*COMMANDS, "--version"}, called
        else:
            assert words[0] == "python", called
        for extra in re.findall(r"\.\[([\w,]+)\]", line):
            assert set(extra.split(",")) <= set(PROJECT["optional-dependencies"]), called


def test_what_is_published_is_what_was_tried_and_needs_no_token():
    jobs = read(FOLDER / "release.yml")["jobs"]
    assert set(jobs["publish"]["needs"]) == {"tests", "check"} and jobs["publish"]["environment"] == "pypi"
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert not any(
        "run" in step for step in jobs["publish"]["steps"]
    )  # with the right to publish, nothing of ours runs
    assert "secrets." not in "".join(p.read_text(encoding="utf-8") for p in FILES)
    assert read(FOLDER / "release.yml")["on"] == {"push": {"tags": ["v*"]}}
    assert "workflow_call" in read(FOLDER / "tests.yml")["on"]
