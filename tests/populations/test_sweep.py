import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

import conjugacy as cj
from conjugacy import _progress, cli
from conjugacy.populations import execute as sweep_run
from conjugacy.populations.execute import run_sweep
from conjugacy.populations.plan import Plan
from conjugacy.runs.lock import locked

SMALL = {
    "task": {"class": "NBitFlipFlop", "n": 2, "n_timesteps": 20},
    "network": [{"class": "GRU", "latent_size": [3, 4]}, {"class": "NODE", "latent_size": 3, "layer_hidden_size": 8}],
    "recipe": {"learning_rate": [0.003, 0.01], "steps": 8, "batch_size": 4, "eval_every": 4},
    "seeds": 2,
}


class WorkersHere:
    """What Workers do, at once and in this process."""

    def __init__(self, *_):
        self.waiting, self.begun = [], []

    has_room = property(lambda self: len(self.waiting) < 2)
    busy = property(lambda self: bool(self.waiting))

    def submit(self, key, job):
        self.begun.append(key)
        self.waiting.append((key, job))

    def next_message(self):
        import base64

        from conjugacy._notes import error_line
        from conjugacy.populations.worker import do_job

        key, job = self.waiting.pop(0)
        try:
            answer = do_job(job)
        except Exception as error:
            return key, {"error": error_line(error)}
        return key, {**answer, "weights": base64.b64decode(answer["weights"])}

    def interrupt(self):
        self.waiting.clear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture
def here(monkeypatch):
    pools = []

    def make(*args):
        pools.append(WorkersHere(*args))
        return pools[-1]

    monkeypatch.setattr(sweep_run, "Workers", make)
    return pools


def test_a_grid_has_every_combination_once():
    plan = Plan.of(SMALL)
    assert len(plan.runs) == 12 == len({r.name for r in plan.runs})
    kinds = {(type(r.network).__name__, r.network.latent_size, r.recipe.learning_rate, r.seed) for r in plan.runs}
    assert kinds == {
        (kind, size, rate, seed)
        for kind, size in (("GRU", 3), ("GRU", 4), ("NODE", 3))
        for rate in (0.003, 0.01)
        for seed in (0, 1)
    }
    differ = ["network.class", "network.latent_size", "recipe.learning_rate", "network.layer_hidden_size", "seed"]
    assert sorted(plan.varied) == sorted(differ)
    assert all(r.task.n == 2 and r.recipe.steps == 8 for r in plan.runs)
    wider = Plan.of({**SMALL, "seeds": [5, 0, 1], "task": {**SMALL["task"], "n": [2, 1]}})
    assert {r.name for r in plan.runs} < {r.name for r in wider.runs}  # what is there stays where it is


def test_lists_are_alternatives_and_lists_in_lists_are_values():
    text = """
    task: NBitFlipFlop
    network: {class: [VanillaRNN, LSTM], latent_size: 3}
    recipe: {learning_rate: [1e-3, 1e-2]}
    seeds: [7]
    """
    runs = Plan.parse(text).runs
    told = [(type(r.network).__name__, r.recipe.learning_rate) for r in runs]
    assert told == [("VanillaRNN", 1e-3), ("VanillaRNN", 1e-2), ("LSTM", 1e-3), ("LSTM", 1e-2)]
    reach = {"class": "RandomTarget", "shoulder_range": [[30, 105], [40, 90]]}
    runs = Plan.of({"task": reach, "network": SMALL["network"][1]}).runs
    assert [r.settings["task.shoulder_range"] for r in runs] == reach["shoulder_range"]
    assert len({tuple(r.task.shoulder_range) for r in runs}) == 2


def test_a_random_search_draws_from_its_ranges_and_grows_without_changing():
    network = {"class": ["GRU", "LSTM"], "latent_size": {"integers": [3, 5]}, "ic_noise": {"uniform": [0.1, 0.2]}}
    config = {
        "task": SMALL["task"],
        "network": network,
        "recipe": {"learning_rate": {"log_uniform": [1e-5, 1e-1]}, "batch_size": [4, 8]},
        "samples": 200,
        "search_seed": 3,
    }
    runs = Plan.of(config).runs
    assert len(runs) == 200
    assert {r.network.latent_size for r in runs} == {3, 4, 5} and {r.recipe.batch_size for r in runs} == {4, 8}
    assert {type(r.network).__name__ for r in runs} == {"GRU", "LSTM"}
    assert all(0.1 <= r.network.ic_noise <= 0.2 for r in runs)
    rates = pd.Series([r.recipe.learning_rate for r in runs])
    # of log-uniform draws over four decades, half lie below the middle of the exponents
    assert rates.between(1e-5, 1e-1).all() and (rates < 1e-3).mean() == pytest.approx(0.5, abs=5 * 0.5 / 200**0.5)
    assert [r.name for r in Plan.of({**config, "samples": 50}).runs] == [r.name for r in runs[:50]]
    assert {r.name for r in Plan.of({**config, "search_seed": 4}).runs}.isdisjoint({r.name for r in runs})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"taks": 1}, "`sweep`: expected one of 'task', 'network', 'recipe', "),
        ({"network": {"class": "GRUU"}}, "`network.class`: expected one of 'ChaoticRateRNN', "),
        ({"network": {"latent_size": 3}}, "`network.class`: missing. Name one, for example GRU."),
        ({"network": {"class": "GRU", "latnt_size": 3}}, "`network`: expected one of 'latent_size', "),
        ({"network": {"class": "GRU"}}, "`network`: GRU() is refused: "),
        (
            {"network": {"class": "GRU", "latent_size": [3, 0]}},
            "`network`: GRU(latent_size=0) is refused: `latent_size`: ",
        ),
        ({"network": {"class": "GRU", "latent_size": []}}, "`network.latent_size`: expected at least one alternative"),
        ({"network": []}, "`network`: expected at least one alternative, got an empty list."),
        ({"network": [{"class": "GRU", "latent_size": 3}, 5]}, "`network[1]`: expected settings as a mapping, got 5."),
        (
            {"network": {"class": "no.such.Net", "latent_size": 3}},
            "`network.class`: no.such.Net is no class of conjugacy, ",
        ),
        ({"task": {"class": "NBitFlipFlop", "n": 0}}, "`task`: NBitFlipFlop(n=0) is refused: `n`: expected an integer"),
        ({"recipe": {"learning_rat": 1}}, "`recipe`: expected one of 'steps', "),
        (
            {"recipe": {"learning_rate": [0.1, -1.0]}},
            "`recipe`: `learning_rate`: expected a number in (0, inf), got -1.0.",
        ),
        (
            {"recipe": {"learning_rate": {"uniform": [0.1, 0.2]}}},
            "`recipe.learning_rate`: a range needs a random search.",
        ),
        (
            {"recipe": {"learning_rate": {"uniform": [0.2, 0.1]}}, "samples": 3},
            "`recipe.learning_rate.uniform`: expected lo",
        ),
        (
            {"recipe": {"learning_rate": {"log_uniform": [0, 0.1]}}, "samples": 3},
            "`recipe.learning_rate.log_uniform`: ",
        ),
        (
            {"recipe": {"steps": {"integers": [1, 2.5]}}, "samples": 3},
            "`recipe.steps.integers`: expected integers, got",
        ),
        ({"samples": 0}, "`samples`: expected an integer >= 1, got 0."),
        ({"seeds": [0, 0]}, "`seeds`: expected each seed once, got [0, 0]."),
        ({"seeds": []}, "`seeds`: expected a number of seeds or a list of them, got []."),
        ({"seeds": "all"}, "`seeds`: expected a number of seeds or a list of them, got 'all'."),
        ({"out": 3}, "`out`: expected text, got 3."),
    ],
)
def test_what_does_not_exist_is_refused_before_anything_starts(here, tmp_path, change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}") as caught:
        run_sweep({**SMALL, **change}, **({} if "out" in change else {"out": tmp_path / "s"}), progress=False)
    assert len(str(caught.value).splitlines()) == 1
    assert not here and not (tmp_path / "s").exists()


def test_names_close_to_a_right_one_are_guessed(tmp_path):
    for change, guess in (
        ({"network": {"class": "GRUU", "latent_size": 3}}, "GRU"),
        ({"network": {"class": "GRU", "latnt_size": 3}}, "latent_size"),
        ({"taks": 1}, "task"),
    ):
        with pytest.raises(ValueError, match=f"Did you mean '{guess}'\\?"):
            Plan.of({**SMALL, **change})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: {class: A", "not a yaml file (while parsing a flow mapping"),
        ("- 1", "`config`: expected a dict with the keys task, network and so on, got [1]."),
        ("seeds: 2\nseeds: 3", "line 2: 'seeds' stands there twice."),
        ("seeds: 2", "`task`: missing. Name a class, for example task: {class: NBitFlipFlop}."),
    ],
)
def test_files_that_are_no_sweep_are_named(tmp_path, text, message, capsys):
    file = tmp_path / "sweep.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{file}: {message}')}"):
        Plan.read(file)
    with pytest.raises(SystemExit) as end:
        cli.main(["sweep", str(file)])
    assert end.value.code == 2 and message in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match=r"^`file`: .*nowhere.yaml does not exist"):
        Plan.read(tmp_path / "nowhere.yaml")


def test_runs_are_those_of_train_and_the_table_tells_all(here, tmp_path, monkeypatch):
    table = run_sweep(SMALL, tmp_path / "s", progress=False)
    assert (table["status"] == "finished").all() and (table["error"] == "").all() and len(table) == 12
    exact = {"float_precision": "round_trip"} if pd.__version__ < "3.1" else {}
    written = pd.read_csv(tmp_path / "s" / "table.csv", keep_default_na=False, **exact)
    assert written["run"].tolist() == table["run"].tolist() and written["test_r2"].tolist() == table["test_r2"].tolist()
    row = table[
        (table["network.class"] == "NODE") & (table["recipe.learning_rate"] == 0.01) & (table["seed"] == 1)
    ].iloc[0]
    loaded = cj.load(tmp_path / "s" / "runs" / row["run"])
    settings = {**SMALL["recipe"], "learning_rate": 0.01}
    task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=20)
    alone = cj.train(task, cj.networks.NODE(3, layer_hidden_size=8), 1, False, **settings)
    assert loaded.history.loss.tolist() == alone.history.loss.tolist() and row["test_r2"] == alone.metrics["test_r2"]
    # a second call has nothing to do, and a wider sweep only what is new
    again = run_sweep(SMALL, tmp_path / "s", progress=False)
    assert len(here) == 1 and again.drop(columns="seconds").equals(table.drop(columns="seconds"))
    run_sweep({**SMALL, "seeds": 3}, tmp_path / "s", progress=False)
    assert len(here[1].begun) == 6


def test_a_run_that_fails_stops_no_other_and_is_tried_again(here, tmp_path, monkeypatch):
    from conjugacy.populations import worker

    begin = worker.begin

    def refuses(task, network, seed, *more):
        if network.latent_size == 4 and seed == 1:
            raise MemoryError("no room\nfor this one")
        return begin(task, network, seed, *more)

    monkeypatch.setattr(worker, "begin", refuses)
    table = run_sweep(SMALL, tmp_path / "s", progress=False)
    assert table["status"].value_counts().to_dict() == {"finished": 10, "failed": 2}
    failed = table[table["status"] == "failed"]
    assert set(failed["error"]) == {"MemoryError: no room for this one"}
    assert (failed["network.latent_size"] == 4).all() and failed["test_r2"].isna().all()
    monkeypatch.setattr(worker, "begin", begin)
    table = run_sweep(SMALL, tmp_path / "s", progress=False)
    assert (table["status"] == "finished").all() and here[1].begun == failed["run"].tolist()


def test_an_interrupted_sweep_goes_on(here, tmp_path, monkeypatch, capsys):
    next_message, received = WorkersHere.next_message, []

    def interrupted(pool):
        received.append(1)
        if len(received) == 5:
            raise KeyboardInterrupt
        return next_message(pool)

    monkeypatch.setattr(WorkersHere, "next_message", interrupted)
    monkeypatch.setattr(_progress, "_FIRST_LINE", 0.0)
    table = run_sweep(SMALL, tmp_path / "s")
    assert table["status"].value_counts().to_dict() == {"waiting": 6, "finished": 4, "begun": 2}
    shown = capsys.readouterr()
    assert "The same call goes on from" in shown.out + shown.err and "of 12 runs" in shown.err
    table = run_sweep(SMALL, tmp_path / "s", progress=False)
    assert (table["status"] == "finished").all() and len(here[1].begun) == 8


def test_a_damaged_run_is_named_and_other_peoples_folders_are_left_alone(here, tmp_path):
    one = {**SMALL, "network": {"class": "GRU", "latent_size": 3}, "recipe": {"steps": 1, "batch_size": 2}, "seeds": 1}
    table = run_sweep(one, tmp_path / "s", progress=False)
    (tmp_path / "s" / "runs" / table["run"][0] / "metrics.json").write_text("{}")
    with pytest.raises(
        ValueError, match=r"metrics\.json: its content .* Or delete the folder: the sweep then trains it"
    ):
        run_sweep(one, tmp_path / "s", progress=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").touch()
    with pytest.raises(
        FileExistsError, match=r"^`out`: .*mine exists and holds no sweep\. Name an empty or a new folder"
    ):
        run_sweep(one, tmp_path / "mine", progress=False)
    with pytest.raises(ValueError, match=r"^`out`: missing\. Name a folder for the runs"):
        run_sweep(one, progress=False)


def test_the_command_line_plans_trains_and_compares(here, tmp_path, capsys):
    few = {**SMALL, "network": SMALL["network"][0], "recipe": {"steps": 2, "batch_size": 2}, "seeds": 1}
    file, out = tmp_path / "sweep.json", tmp_path / "s"
    file.write_text(json.dumps({**few, "out": str(out)}))
    cli.main(["sweep", str(file), "--dry_run", "true"])
    assert "2 runs." in capsys.readouterr().out and not out.exists()
    cli.main(["sweep", str(file), "--progress", "false"])
    assert "finished" in capsys.readouterr().out and (out / "table.csv").exists()
    for folder in (out, out / "runs"):
        cli.main(["compare", str(folder), "--n_trials", "12"])
        shown = capsys.readouterr().out
        assert all(path.name in shown for path in (out / "runs").iterdir())


def test_without_ray_it_is_said_how_to_get_it(here, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        ValueError, match=r"^`ray`: the package ray is not installed\. Install the extra: conjugacy\[clus"
    ):
        run_sweep(SMALL, tmp_path / "s", ray="local")
    assert not (tmp_path / "s").exists()


def test_what_a_kill_left_half_written_is_cleared_away_by_whoever_writes_next(here, tmp_path):
    one = {**SMALL, "network": {"class": "GRU", "latent_size": 3}, "recipe": {"steps": 1, "batch_size": 2}, "seeds": 1}
    name = Plan.of(one).runs[0].name
    folder = tmp_path / "s" / "runs" / name
    folder.mkdir(parents=True)
    (tmp_path / "s" / "sweep.yaml").touch()
    for left in (".lock", ".weights.safetensors.new", ".checkpoint.safetensors.new"):
        (folder / left).touch()  # of a process that was killed: it holds nothing
    mine = tmp_path / "s" / "runs" / f".{name}-original"
    mine.mkdir()
    (mine / "thesis.txt").touch()
    table = run_sweep(one, tmp_path / "s", progress=False)
    assert table["status"].tolist() == ["finished"] and (mine / "thesis.txt").exists()
    assert sorted(os.listdir(folder)) == ["config.json", "history.csv", "metrics.json", "weights.safetensors"]


def test_two_processes_never_train_the_same_run(tmp_path):
    folder, order = tmp_path / "run", []

    def second():
        with locked(folder):
            order.append("second")

    with locked(folder):
        thread = threading.Thread(target=second)
        thread.start()
        with (
            pytest.raises(BlockingIOError, match=r"^`out`: .*run is in use: another process trains or saves there"),
            locked(folder, lambda: True),
        ):
            order.append("never")
        time.sleep(0.5)
        order.append("first")
    thread.join()
    assert order == ["first", "second"] and not list(tmp_path.glob("*/*"))


def has_ray():
    from importlib.util import find_spec

    return find_spec("ray") is not None


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def killed_half_way(file, out, enough, *flags):
    """Run names of a sweep that was killed when `enough` of its runs had finished, and when each was written."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "conjugacy.cli", "sweep", str(file), "--progress", "false", *flags]
    driver = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    started = time.monotonic()
    while len(list(out.glob("runs/[!.]*/config.json"))) < enough:
        assert driver.poll() is None, driver.stderr.read().decode()
        assert time.monotonic() - started < 300, "the sweep does not get on"
        time.sleep(0.02)
    workers = [
        pid for children in Path(f"/proc/{driver.pid}/task").glob("*/children") for pid in children.read_text().split()
    ]
    driver.kill()
    driver.wait()
    driver.stderr.close()
    killed = time.monotonic()
    while "--ray" not in flags and any(is_running(pid) for pid in workers):
        assert time.monotonic() - killed < 60, "a worker trains on for a process that was killed"
        time.sleep(0.02)
    if "--ray" in flags or not workers:
        time.sleep(2)  # other processes, or no /proc
    return {p.parent.name: p.stat().st_mtime_ns for p in out.glob("runs/[!.]*/config.json")}


def check_that_it_goes_on(file, out, **options):
    before = {p.parent.name: p.stat().st_mtime_ns for p in out.glob("runs/[!.]*/config.json")}
    n_lines = len((out / "log.jsonl").read_text().splitlines())
    table = run_sweep(file, progress=False, **options)
    assert (table["status"] == "finished").all()
    events = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    begun_again = {e["run"] for e in events[n_lines:] if e["event"] == "begun"}
    assert not begun_again & set(before)  # a worker that outlived the kill may have ended one more since
    finished = [e["run"] for e in events if e["event"] == "finished"]
    assert len(finished) == len(set(finished))
    folders = {p.parent.name: p.stat().st_mtime_ns for p in out.glob("runs/[!.]*/config.json")}
    assert {name: folders[name] for name in before} == before
    left = {p.name for p in (out / "runs").iterdir() if p.suffix != ".lock"}
    assert left == set(table["run"])  # nothing half-written is left
    for name in folders:
        cj.load(out / "runs" / name)


def test_a_sweep_that_was_killed_ends_with_all_runs_and_none_trained_twice(here, tmp_path):
    file, out = tmp_path / "sweep.json", tmp_path / "s"
    file.write_text(json.dumps({**SMALL, "recipe": {**SMALL["recipe"], "learning_rate": 0.01}, "out": str(out)}))
    done = killed_half_way(file, out, 2, "--workers", "2")
    assert 2 <= len(done) < 6
    check_that_it_goes_on(file, out, workers=1)


@pytest.mark.slow
@pytest.mark.skipif(not has_ray(), reason="ray is not installed")
def test_a_sweep_on_ray_that_was_killed_ends_with_all_runs_and_none_trained_twice(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_worker_niceness", "0")  # Ray's workers are nice: on a busy machine they never get to run
    file, out = tmp_path / "sweep.json", tmp_path / "s"
    file.write_text(json.dumps({**SMALL, "recipe": {**SMALL["recipe"], "steps": 300, "stop_r2": 1.0}, "out": str(out)}))
    done = killed_half_way(file, out, 5, "--workers", "2", "--ray", "local")
    assert 5 <= len(done) < 12
    check_that_it_goes_on(file, out, workers=2, ray="local")


def test_the_sweep_in_the_documentation_is_one():
    page = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text()
    examples = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    plans = [Plan.parse(text) for text in examples]
    counts = [int(n) for n in re.findall(r"\b(\d+) runs\b", page)]
    assert [len(plan.runs) for plan in plans] == counts and len(plans) >= 2
