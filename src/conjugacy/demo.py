"""The demonstration that `make demo` and `conjugacy demo` run."""

from __future__ import annotations

from pathlib import Path

from conjugacy._csv import as_csv
from conjugacy._files import write_file
from conjugacy._progress import duration
from conjugacy.analysis.analysis import Analysis
from conjugacy.analysis.comparison import compare
from conjugacy.networks import GRU, NODE
from conjugacy.plots import conjugacy as conjugacy_figure
from conjugacy.plots import training_curves
from conjugacy.report.columns import wrapped
from conjugacy.report.figure_files import draw, draw_fixed_points
from conjugacy.report.text_table import text_table, verdict_text
from conjugacy.tasks import NBitFlipFlop
from conjugacy.training.train import train

MEASURES = ("state_r2", "procrustes", "cka", "dsa", "spectrum_w2", "portrait")


def main_job(out: Path, seed: int = 0, progress: bool = True) -> None:
    """Train a GRU-128 and a NODE-3 on the 3-bit flip-flop, draw them, compare them; all files go to `out`.

    Prints at most 40 lines.
    """
    task = NBitFlipFlop(n=3, n_timesteps=500, switch_prob=0.015, noise=0.15)
    networks = (
        GRU(latent_size=128),
        NODE(latent_size=3, num_layers=3, layer_hidden_size=64),
    )
    runs, files = [], []
    _say("Training two networks to remember three bits (the 3-bit flip-flop); a minute or two each")
    for network in networks:
        folder = out / f"{type(network).__name__.lower()}-{network.latent_size}"
        run = train(task, network, seed=seed, progress=progress, out=folder)
        scores = f"accuracy {run.metrics['test_accuracy']:.4f}, R2 {run.metrics['test_r2']:.4f}"
        took = f"{run.metrics['steps']} steps in {duration(run.metrics['seconds'])}"
        _say(f"  {run.name:<8} {scores} on {run.sets.n_test} test trials; {took}")
        runs.append(run)
    _say("\nSearching for their fixed points, without input")
    task.render(seed=seed).savefig(out / "task.png", dpi=150)
    training_curves(runs).savefig(out / "training.png", dpi=150)
    files += [out / "task.png", out / "training.png"]
    for run in runs:
        analysis = Analysis(run)
        points = analysis.fixed_points(seed=seed, progress=progress)
        _say(wrapped(f"{run.name:<8} {points.summary()}", 2, 11))
        files += draw(analysis, out) + draw_fixed_points(analysis, points, out)
    comparison = compare(runs, MEASURES, seed=seed, n_trials=100, null="auto", progress=progress)
    _say(f"\n{text_table(comparison, meanings=False)}")
    comparison.plot_trials_3d_reference().savefig(out / "affine_overlay.png", dpi=150)
    write_file(out / "comparison.csv", as_csv(comparison.table(), index=True))
    _say("\nDo they compute the same thing? (half a minute)")
    verdict = comparison.verdict()
    _say(verdict_text(verdict, brief=True))
    write_file(out / "verdict.txt", f"{verdict}\n".encode())
    found = verdict.pairs[0].conjugacy
    if found is not None:
        conjugacy_figure(found).savefig(out / "conjugacy.png", dpi=150)
        files.append(out / "conjugacy.png")
    files += [out / name for name in ("affine_overlay.png", "comparison.csv", "verdict.txt")]
    folders = {run.name: str(out / run.name.lower()) for run in runs}
    page = comparison.report(out / "report.html", verdict=verdict, folders=folders)
    names = " and ".join(r.name.lower() for r in runs)
    figures = sum(path.suffix == ".png" for path in files)
    text = f"Written to {out}: the runs {names}, {figures} figures, comparison.csv, verdict.txt (the answers in full)."
    text += f" To read and to send: {page}."
    _say("\n" + wrapped(f"{text} What the measures are: docs/measures.md", 0, 2))


def _say(text: str) -> None:
    print(text, flush=True)
