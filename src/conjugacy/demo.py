"""The demonstration that `make demo` and `conjugacy demo` run."""

from __future__ import annotations

from pathlib import Path

from conjugacy._csv import as_csv
from conjugacy._files import write_file
from conjugacy.analysis.analysis import Analysis
from conjugacy.analysis.comparison import compare
from conjugacy.networks import GRU, NODE
from conjugacy.plots import conjugacy as conjugacy_figure
from conjugacy.report.figure_files import draw, draw_fixed_points
from conjugacy.report.text_table import text_table
from conjugacy.tasks import NBitFlipFlop
from conjugacy.training.train import train

MEASURES = ("state_r2", "procrustes", "cka", "dsa", "spectrum_w2", "portrait")


def main_job(out: Path, seed: int = 0, progress: bool = True) -> None:
    """Train a GRU-128 and a NODE-3 on the 3-bit flip-flop, draw them, compare them; all files go to `out`."""
    task = NBitFlipFlop(n=3, n_timesteps=500, switch_prob=0.015, noise=0.15)
    networks = (
        GRU(latent_size=128),
        NODE(latent_size=3, num_layers=3, layer_hidden_size=64),
    )
    runs, written = [], []
    for network in networks:
        folder = out / f"{type(network).__name__.lower()}-{network.latent_size}"
        print(f"Training {folder.name} on the 3-bit flip-flop ...", flush=True)
        run = train(task, network, seed=seed, progress=progress, out=folder)
        print(
            f"  {run.metrics['steps']} steps in {run.metrics['seconds']:.0f} s; on {run.sets.n_test} test trials: "
            f"bit accuracy {run.metrics['test_accuracy']:.4f}, R2 {run.metrics['test_r2']:.4f}",
            flush=True,
        )
        runs.append(run)
        written.append(folder)
    print("Searching for fixed points ...", flush=True)
    task_figure = out / "task.png"
    task.render(seed=seed).savefig(task_figure, dpi=150)
    written.append(task_figure)
    for run in runs:
        analysis = Analysis(run)
        points = analysis.fixed_points(seed=seed, progress=progress)
        print(f"  {run.name} without input: {points.summary()}", flush=True)
        written += draw(analysis, out) + draw_fixed_points(analysis, points, out)
    print("Comparing the two networks ...", flush=True)
    comparison = compare(runs, MEASURES, seed=seed, n_trials=100, null="auto", progress=progress)
    comparison.plot_trials_3d_reference().savefig(out / "affine_overlay.png", dpi=150)
    write_file(out / "comparison.csv", as_csv(comparison.table(), index=True))
    written += [out / "affine_overlay.png", out / "comparison.csv"]
    print(text_table(comparison))
    print("Do they compute the same thing? (half a minute)", flush=True)
    verdict = comparison.verdict()
    print(f"\n{verdict}\n")
    write_file(out / "verdict.txt", f"{verdict}\n".encode())
    found = verdict.pairs[0].conjugacy
    if found is not None:
        conjugacy_figure(found).savefig(out / "conjugacy.png", dpi=150)
        written.append(out / "conjugacy.png")
    folders = {run.name: str(out / f"{run.name.lower()}") for run in runs}
    written += [out / "verdict.txt", comparison.report(out / "report.html", verdict=verdict, folders=folders)]
    print("Written:", *(f"  {path}" for path in written), sep="\n")
