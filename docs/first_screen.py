"""The picture on README's first screen: two networks on one task, where each rests, and what one has of the other.

``python docs/first_screen.py FOLDER`` keeps trained networks in the folder and writes docs/_static/first_screen.png.
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

import conjugacy as cj

PICTURE = Path(__file__).parent / "_static" / "first_screen.png"


def main(folder: Path) -> None:
    """Train, look inside, compare, draw."""
    task = cj.tasks.NBitFlipFlop(n=3)
    networks = {"gru": cj.networks.GRU(64), "node": cj.networks.NODE(3, num_layers=3, layer_hidden_size=64)}
    runs = [cj.train(task, network, seed=0, out=folder / name) for name, network in networks.items()]
    found = cj.find_conjugacy(*runs, seed=0)
    figure = Figure(figsize=(9.0, 4.6))
    for k, run in enumerate(runs):
        points = cj.fixed_points(run, inputs=[0, 0, 0], seed=0)
        ax = figure.add_subplot(1, 2, k + 1, projection="3d")
        cj.plots.fixed_points_3d(points, run.system(task.trials(20, seed=1)), n_trials=12, ax=ax)
        legend = ax.get_legend()
        legend.remove()
        if k == 0:  # the second has the same marks
            names = [text.get_text() for text in legend.get_texts()]
            figure.legend(legend.legend_handles, names, loc="lower center", ncols=len(names), fontsize=7, frameon=False)
        ax.set_title(points.summary().split(";")[0] + f" ({run.name})", fontsize=9)
        ax.tick_params(labelsize=6)
    figure.suptitle(str(found).split("\n")[0], fontsize=11)
    figure.subplots_adjust(left=0.0, right=0.97, bottom=0.1, top=0.86, wspace=0.05)
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
