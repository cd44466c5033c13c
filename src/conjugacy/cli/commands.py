"""The commands, one function each. Their arguments become flags, their docstrings help; see `flags`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

_MOST_POINTS = 30  # rows of fixed points that are printed


def train(
    task: Any,
    out: str,
    network: Any = None,
    recipe: dict[str, Any] | None = None,
    seed: int = 0,
    device: str = "cpu",
    threads: int | None = None,
    keep: str | None = None,
    start: str | None = None,
    keep_trials: bool = False,
    progress: bool = True,
) -> None:
    """Train a network on a task and save the run.

    Args:
        task: Task to learn, for example NBitFlipFlop; its settings as --task.n 3.
        out: Folder for the run. The same command resumes it after an interruption.
        network: Network that learns it, for example GRU; its settings as --network.latent_size 128.
        recipe: Settings of the training that replace those of the task, for example --recipe.steps 300.
        seed: Seed of everything random: weights, trials, noise.
        device: Device to train on, for example cpu or cuda.
        threads: Number of CPU threads; by default one, or more for a large network.
        keep: Steps after which the weights are kept, separated by commas, or log for steps that grow by one factor.
        start: Folder of a run whose network goes on from its weights; then no --network is given.
        keep_trials: Also store the trials in the folder, as trials.h5.
        progress: Show a progress bar.
    """
    from conjugacy.runs.run import load
    from conjugacy.training.train import train as fit

    settings = {k: v for k, v in (recipe or {}).items() if v is not None}
    steps = None if keep is None or keep == "log" else _steps(keep)
    source = None if start is None else load(start)
    kept: dict[str, Any] = {"keep": keep if steps is None else steps, "start": source}
    run = fit(task, network, seed, progress, out=out, device=device, threads=threads, **kept, **settings)
    if run.metrics["stopped"] == "interrupted":
        print(f"Interrupted. The same command goes on from {out}.")
        return
    if keep_trials:
        run.save(out, keep_trials=True, overwrite=True)
    _print_run(run, out)


def _steps(keep: str) -> list[int]:
    try:
        return [int(step) for step in keep.split(",")]
    except ValueError:
        raise ValueError(f"`keep`: expected steps separated by commas, or log, got {keep!r}.") from None


def repeat(run: str, out: str, progress: bool = True) -> None:
    """Repeat the training of a run, and report whether the weights are the same, bit for bit.

    Args:
        run: Folder of the run to repeat.
        out: Folder for the new run; it must be empty or not exist.
        progress: Show a progress bar.
    """
    from conjugacy.training.repeat import repeat as again

    new, same = again(run, out, progress)
    _print_run(new, out)
    if new.metrics["stopped"] == "interrupted":
        print(f"Interrupted at step {new.metrics['steps']}: the weights cannot be compared.")
        return
    print(f"The weights are {'the same as' if same else 'not those'} of {run}{', bit for bit' if same else ''}.")


def compare(
    runs: list[str],
    measures: str = "state_r2",
    out: str | None = None,
    seed: int = 0,
    n_trials: int = 250,
    names: str | None = None,
    null: str | None = None,
    bin_size: float | None = None,
    smooth: float | None = None,
    sqrt: bool = False,
    soft_normalise: bool = False,
    average: bool = False,
    causal: bool = False,
    remove_shared: bool = False,
    window: str | None = None,
    resample: float | None = None,
    condition: str | None = None,
    align: str | None = None,
    match: str | None = None,
    verdict: bool = False,
    progress: bool = True,
) -> None:
    """Compare trained networks and recordings pair by pair, on trials that no network was trained on.

    Args:
        runs: Folders of two or more runs, or a folder that holds such folders (of a sweep or a population), and files
            of recordings (npz, as Recording.save writes them, or NWB).
        measures: Names of similarity measures, separated by commas.
        out: Folder for the table (csv) and a figure of the networks in one space; without it nothing is written.
        seed: Seed of the trials.
        n_trials: Number of trials.
        names: Names for the runs in place of their own, separated by commas.
        null: Surrogate data that each score is compared with; auto chooses what suits each measure.
        bin_size: Join the bins of recordings to this width (s).
        smooth: Smooth recordings with a Gaussian of this standard deviation (s).
        sqrt: Take square roots of recordings, before they are smoothed.
        soft_normalise: Divide each unit of a recording by its range + 5 spikes/s, after it was smoothed.
        average: Average recordings over the trials of each condition.
        causal: Smooth with the half of the Gaussian that looks back only.
        remove_shared: Take out of recordings what all conditions share, after smoothing.
        window: First and last time of recordings (s from the event), separated by a comma.
        resample: Bring recordings to steps of this width (s), the task's, after smoothing.
        condition: Column of the trials of an NWB file with the label of the condition.
        align: Column of the trials of an NWB file with the time that they are aligned to.
        match: How trials of recordings and networks are paired: condition, inputs or index.
        verdict: Also answer in words whether they compute the same thing, which takes half a minute a pair.
        progress: Show a progress bar.
    """
    from conjugacy._csv import as_csv
    from conjugacy._files import write_file
    from conjugacy.analysis.comparison import compare as compare_runs
    from conjugacy.report.text_table import text_table, verdict_text
    from conjugacy.report.written import written

    steps: dict[str, Any] = {"bin_size": bin_size, "smooth": smooth, "sqrt": sqrt, "soft_normalise": soft_normalise}
    steps |= {"average": average, "causal": causal, "remove_shared": remove_shared, "window": window}
    steps |= {"resample": resample, "condition": condition, "align": align}
    things, names = _given(runs, names, **steps)
    recorded = any(Path(given).suffix in _RECORDED for given in runs)
    if not recorded:
        for name, value in {**steps, "match": match}.items():
            if value not in (None, False):
                raise ValueError(
                    f"`{name}`: expected only where a recording (npz, nwb) is compared, got {value}. Drop it."
                )
    comparison = compare_runs(
        things,
        _names(measures),
        seed=seed,
        n_trials=n_trials,
        names=_names(names) if names else None,
        null=null,
        match=match,
        progress=progress,
    )
    print(text_table(comparison))
    said = comparison.verdict() if verdict else None
    if said is not None:
        print(f"\nDo they compute the same thing?\n{verdict_text(said)}")
    if out is not None:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / "comparison.csv", as_csv(comparison.table(), index=True))
        if said is not None:
            write_file(folder / "verdict.txt", f"{said}\n".encode())
        files = ["comparison.csv", *(["verdict.txt"] if said is not None else [])]
        if not recorded or comparison.matched is not None:  # else no step has a partner to be mapped onto
            comparison.plot_trials_3d_reference().savefig(folder / "affine_overlay.png", dpi=150)
            files.insert(1, "affine_overlay.png")
        print(f"\n{written([folder / name for name in files])}")


def report(
    runs: list[str],
    out: str = "report.html",
    measures: str = "state_r2,procrustes,cka,dsa,spectrum_w2,portrait",
    title: str | None = None,
    seed: int = 0,
    n_trials: int = 100,
    names: str | None = None,
    null: str | None = None,
    bin_size: float | None = None,
    smooth: float | None = None,
    verdict: bool | None = None,
    progress: bool = True,
) -> None:
    """Write one page (HTML) that says whether networks compute the same thing, with figures and how to repeat it.

    Args:
        runs: Folders of two or more runs, or a folder that holds such folders (of a sweep or a population), and files
            of recordings (npz, as Recording.save writes them, or NWB).
        out: File of the page; it is replaced where it exists.
        measures: Names of similarity measures, separated by commas; portrait is left out where recordings are compared.
        title: Title in place of the question.
        seed: Seed of the trials.
        n_trials: Number of trials.
        names: Names for the runs in place of their own, separated by commas.
        null: Surrogate data that each score is compared with; by default auto for up to six systems, none for more.
        bin_size: Join the bins of recordings to this width (s).
        smooth: Smooth recordings with a Gaussian of this standard deviation (s).
        verdict: Answer in words, half a minute a pair; by default for up to three systems.
        progress: Show a progress bar.
    """
    from conjugacy.analysis.comparison import compare as compare_runs
    from conjugacy.recordings.recording import Recording
    from conjugacy.similarity.measure import get_measure

    things, names = _given(runs, names, bin_size=bin_size, smooth=smooth)
    chosen = _names(measures)
    if any(isinstance(t, Recording) for t in things):
        chosen = [m for m in chosen if get_measure(m).traits.needs != "step"]
    comparison = compare_runs(
        things,
        chosen,
        seed=seed,
        n_trials=n_trials,
        names=_names(names) if names else None,
        null=null or ("auto" if len(things) <= 6 else None),
        progress=progress,
    )
    single = len(things) == len(runs)
    folders = {s.name: folder for s, folder in zip(comparison.systems, runs)} if single else {}
    path = comparison.report(out, title=title, verdict=verdict, folders=folders)
    print(f"Written: {path}")


def sweep(
    file: str,
    out: str | None = None,
    workers: int | None = None,
    threads: int = 1,
    ray: str | None = None,
    gpus_per_run: float | None = None,
    dry_run: bool = False,
    progress: bool = True,
    classes: str | None = None,
) -> None:
    """Train all runs of a sweep (a grid or a random search) that a yaml file describes.

    After an interruption the same command continues, and repeats runs that failed.

    Args:
        file: The yaml file; docs/sweeps.md describes its format.
        out: Folder for the runs and their table; by default the one that the file names.
        workers: Number of runs trained at the same time; by default one per core, or one on a GPU.
        threads: Number of CPU threads of each run.
        ray: Train on Ray: local, or the address of a cluster.
        gpus_per_run: Share of a GPU for each run on Ray, for example 0.25 for four runs on one GPU.
        dry_run: Only list the runs, without training.
        progress: Show a progress bar.
        classes: Task and network classes of your own that the file may name, as import paths separated by commas, for
            example my_package.MyTask.
    """
    from conjugacy.analysis._given import counted
    from conjugacy.populations.execute import run_sweep
    from conjugacy.populations.plan import Plan

    plan = Plan.read(file, _imported_classes(classes))
    if dry_run:
        for planned in plan.runs:
            print(planned.name, *(f"{k}={planned.settings.get(k)}" for k in plan.varied))
        print(f"{counted(len(plan.runs), 'run')}.")
        return
    table = run_sweep(
        plan, out, workers=workers, threads=threads, ray=ray, gpus_per_run=gpus_per_run, progress=progress
    )
    print(table.to_string(max_rows=60))
    folder = Path(str(out or plan.out))
    print(f"Written: {folder / 'table.csv'}. To compare the networks: conjugacy compare {folder / 'runs'}")
    failed = table[table["status"] == "failed"]
    if len(failed):
        raise ValueError(
            f"{len(failed)} of {counted(len(table), 'run')} failed, see the table. The same command repeats them."
        )


def show(run: str, out: str | None = None) -> None:
    """Print the settings and scores of a run, and draw its figures if a folder for them is given.

    The folder's config.json holds the settings in full.

    Args:
        run: Folder of the run.
        out: Folder for the figures; without it none are drawn.
    """
    from conjugacy.analysis.analysis import Analysis
    from conjugacy.cli.going_on import interrupted
    from conjugacy.report.columns import wrapped
    from conjugacy.report.figure_files import draw
    from conjugacy.report.written import written
    from conjugacy.runs.run import load

    unfinished = interrupted(Path(run))
    if unfinished is not None:
        print(unfinished)
        return
    loaded = load(run)
    _print_run(loaded, run)
    print("\nSettings")
    config = loaded.config()
    for part in ("task", "network", "recipe", "trials", "versions"):
        print(wrapped(f"{part:<10}{_in_words(config.get(part, {}))}", 2, 12))
    if out is not None:
        print(f"\n{written(draw(Analysis(loaded), Path(out)))}")


def fixed_points(
    run: str,
    inputs: str = "0",
    n_inits: int = 1024,
    seed: int = 0,
    search: str = "default",
    out: str | None = None,
    progress: bool = True,
) -> None:
    """Find, certify and count the fixed points of a run's network at a held input.

    Args:
        run: Folder of the run.
        inputs: The held input, numbers separated by commas; one number stands for all channels.
        n_inits: Number of starting points of the search.
        seed: Seed of the starting points.
        search: default, or until_complete to search until both checks of completeness agree.
        out: Folder for the points (npz), their table (csv) and figures; without it nothing is written.
        progress: Show a progress bar.
    """
    from conjugacy._csv import as_csv
    from conjugacy._files import file_stem, write_file
    from conjugacy.analysis.analysis import Analysis
    from conjugacy.dynamics.points_table import short_rows
    from conjugacy.report.columns import aligned, wrapped
    from conjugacy.report.figure_files import draw_fixed_points
    from conjugacy.report.written import written
    from conjugacy.runs.run import load

    try:
        held = [float(u) for u in inputs.split(",")]
    except ValueError:
        raise ValueError(f"`inputs`: expected numbers separated by commas, got {inputs!r}.") from None
    analysis = Analysis(load(run))
    points = analysis.fixed_points(held[0] if len(held) == 1 else held, n_inits, seed, search=search, progress=progress)
    print(f"Fixed points of {analysis.name} on {analysis.run.task.name}, input held at {inputs}")
    print(wrapped(points.summary()))
    print("\nAre these all?")
    for line in points.audit().lines:
        print(wrapped(line, 2, 4))
    rows = short_rows(points)
    if rows:
        print(f"\nPoints, the stable ones first\n{aligned(rows[:_MOST_POINTS])}")
    if len(rows) > _MOST_POINTS:
        print(f"  and {len(rows) - _MOST_POINTS} more: --out FOLDER writes them all.")
    if out is not None:
        folder = Path(out)
        paths = draw_fixed_points(analysis, points, folder)
        npz, csv = (folder / f"{file_stem(analysis.name)}_fixed_points.{kind}" for kind in ("npz", "csv"))
        points.save(npz)
        write_file(csv, as_csv(points.table(), index=True))
        print(f"\n{written([*paths, csv, npz])}")


def check_measures(
    measures: str | None = None,
    out: str | None = None,
    seed: int = 0,
    draws: int = 1,
    calibration: bool = False,
    worlds: int = 20,
    part: str = "1/1",
    progress: bool = True,
) -> None:
    """Test similarity measures on pairs of systems whose relation is known by construction.

    Args:
        measures: Measures to test, separated by commas; all by default.
        out: File for the whole table (csv); without it nothing is written. With `calibration`, the folder of its files.
        calibration: Count instead how often intervals hold the truth, and how often unrelated systems pass for kin.
            This takes hours; stopped, it goes on with the same `out`.
        worlds: With `calibration`, number of pairs of systems in each cell; each has 5 data sets.
        part: With `calibration`, share of the work, such as 1/2 and 2/2 for two processes.
        seed: Seed of the systems' inputs and changes of coordinates.
        draws: Number of repetitions, with the seeds from `seed` on.
        progress: Show a progress bar.
    """
    from conjugacy._check import check_int
    from conjugacy.similarity.known_answer_checks import agreement, check_draws, verdicts

    check_int("draws", draws, 1)
    names = _names(measures) if measures else None
    if calibration:
        _calibrate(names, out, worlds, part, progress)
        return
    table = check_draws(names, seeds=range(seed, seed + draws), progress=progress)
    print(verdicts(table).to_string())
    print(
        "\npass: as it should be. moves: reacts although the computation is the same. "
        "blind: misses a change of the computation."
    )
    if out is not None:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(out, index=False)
        print(f"Written: {out}")
    if draws > 1:
        split = [r for r in agreement(table).to_dict("records") if r["held"] < r["draws"]]
        print(f"\nIn {draws} draws, {len(split) or 'no'} expected results did not come out every time.")
        for r in split:
            print(f"  {r['measure']}, {r['relation']}: {r['expected']} in {r['held']} of {r['draws']}")
        failed = sum(bool(r["same"]) or r["held"] <= r["draws"] / 2 for r in split)
    else:
        failed = sum(table["verdict"] == "fails")
    if failed:
        raise ValueError(f"{failed} expected results did not come out, see the table.")


def _calibrate(names: list[str] | None, out: str | None, worlds: int, part: str, progress: bool) -> None:
    from conjugacy.similarity.calibration import SETTINGS, calibrate
    from conjugacy.similarity.calibration_page import calibration_page

    if out is None:
        raise ValueError(
            "`out`: missing. Name a folder for the files of the calibration, for example --out calibration."
        )
    try:
        i, n = (int(number) for number in part.split("/"))
    except ValueError:
        raise ValueError(f"`part`: expected two numbers such as 1/2, got {part!r}.") from None
    found = calibrate(out, names or tuple(SETTINGS), n_worlds=worlds, part=(i, n), progress=progress)
    print(calibration_page(found))


def demo(out: str = "demo", seed: int = 0, progress: bool = True) -> None:
    """Train a GRU-128 and a NODE-3 on the 3-bit flip-flop, find their fixed points, compare them.

    Args:
        out: Folder for the runs and figures.
        seed: Seed of everything random: weights, trials, noise.
        progress: Show progress bars.
    """
    from conjugacy.demo import main_job

    main_job(Path(out), seed, progress)


def record(action: str, file: str) -> None:
    """Say what a recording holds.

    Args:
        action: What to do; info is all there is.
        file: NWB file, or a recording that was saved (npz).
    """
    from conjugacy._check import check_choice

    check_choice("action", action, ["info"])
    if Path(file).suffix == ".nwb":
        from conjugacy.recordings.nwb import nwb_contents

        print(nwb_contents(file))
        return
    from conjugacy.recordings.recording import Recording

    recording = Recording.load(file)
    print(recording)
    if recording.conditions is not None:
        labels = sorted(set(map(str, recording.conditions.tolist())))
        print(f"  {len(labels)} conditions: {', '.join(labels[:20])}")
    for name, signal in recording.behaviour.items():
        print(f'  behaviour "{name}": {signal.values.shape[2]} channels every {signal.dt:g} s')
    if recording.kind != "activity":
        rates = recording.mean_rates
        print(f"  mean rates {rates.min():.3g} to {rates.max():.3g} spikes/s")


_RECORDED = (".npz", ".nwb")


def _prepared(path: Path, bin_size: float | None = None, smooth: float | None = None, **steps: Any) -> Any:
    """A recording from a file, processed as the flags say; counts of an NWB file are made in bins of `bin_size`."""
    from conjugacy.recordings.recording import Recording

    window = _pair("window", steps["window"]) if steps.get("window") else None
    if path.suffix == ".nwb":
        columns = {name: steps[name] for name in ("condition", "align") if steps.get(name)}
        recording = Recording.from_nwb(path, bin_size, window=window, **columns)
    else:
        for name in ("condition", "align"):
            if steps.get(name):
                raise ValueError(f"`{name}`: expected only with NWB files, got {steps[name]} for {path}. Drop it.")
        recording = Recording.load(path)
        recording = recording if bin_size is None else recording.bin(bin_size)
        recording = recording if window is None else recording.window(*window)
    if steps.get("causal") and smooth is None:
        raise ValueError("`causal`: expected a width to smooth with, got none. Give --smooth as well.")
    recording = recording.sqrt() if steps.get("sqrt") else recording
    recording = recording if smooth is None else recording.smooth(smooth, causal=bool(steps.get("causal")))
    recording = recording.soft_normalise() if steps.get("soft_normalise") else recording
    recording = recording.remove_condition_independent() if steps.get("remove_shared") else recording
    recording = recording.resample(steps["resample"]) if steps.get("resample") else recording
    return recording.average() if steps.get("average") else recording


def _pair(name: str, text: str) -> tuple[float, float]:
    """Two numbers in a text that separates them by a comma."""
    try:
        first, last = map(float, text.split(","))
    except ValueError:
        raise ValueError(
            f"`{name}`: expected two numbers with a comma between, such as -0.2,0.8, got {text!r}."
        ) from None
    return first, last


def _given(paths: list[str], names: str | None, **steps: Any) -> tuple[list[Any], str | None]:
    """Runs and recordings that paths lead to, and the names to use: of a sweep, the folders' own."""
    from conjugacy.runs.run import load

    things: list[Any] = []
    own_names: list[str] = []
    for path in map(Path, paths):
        if path.suffix in _RECORDED and path.is_file():
            things.append(_prepared(path, **steps))
            own_names.append(things[-1].name)
        else:
            folders = _run_folders(path)
            things += [load(folder) for folder in folders]
            own_names += [folder.name for folder in folders]
    if names is None and len(things) > len(paths):  # of a sweep, the folders have the names that tell runs apart
        names = ",".join(own_names)
    return things, names


def _names(text: str) -> list[str]:
    """The names in a text that separates them by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _imported_classes(paths: str | None) -> list[type]:
    """The classes that the user has named by their import paths."""
    found = []
    for path in _names(paths or ""):
        module, _, name = path.rpartition(".")
        try:
            found.append(getattr(importlib.import_module(module), name))
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"`classes`: cannot import {path} ({error}).") from None
    return found


def _run_folders(folder: Path) -> list[Path]:
    """The folder of a run, or, given a folder of such folders or of a sweep, all of them that hold a run."""
    if (folder / "config.json").exists():
        return [folder]
    within = folder / "runs" if (folder / "sweep.yaml").exists() else folder
    return sorted(path.parent for path in within.glob("[!.]*/config.json")) or [folder]


def _print_run(run: Any, folder: str | Path) -> None:
    from conjugacy._progress import duration
    from conjugacy.report.columns import aligned

    print(f"{run.name} on {run.task.name}, seed {run.seed}: {folder}")
    words = {"seconds": duration}
    rows = [
        {"": key, "value": words.get(key, lambda v: f"{v:.4f}" if isinstance(v, float) else v)(value)}
        for key, value in run.metrics.items()
    ]
    if rows:
        print(aligned(rows, head=False))


def _in_words(settings: Any) -> str:
    """A class and its arguments, or settings, in a line: "NBitFlipFlop, n 3, noise 0.15"."""
    if not isinstance(settings, dict):
        return str(settings)
    flat = {**settings, **settings["args"]} if isinstance(settings.get("args"), dict) else dict(settings)
    name = [str(flat.pop("class"))] if "class" in flat else []
    flat.pop("args", None)
    return ", ".join([*name, *(f"{k} {v}" for k, v in flat.items() if v is not None)])
