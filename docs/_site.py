"""What the site is made of beside its pages: figures of the gallery, the list of public names, how to cite."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import yaml

# the face, by what a reader wants to do; tests/test_site.py holds it against conjugacy.__all__
FACE = {
    "Train": [
        "train",
        "train_population",
        "run_sweep",
        "Recipe",
        "Run",
        "load",
        "rollout",
        "Trials",
        "TrialSets",
        "Rollout",
    ],
    "Look inside": [
        "Analysis",
        "System",
        "fixed_points",
        "FixedPoints",
        "Portrait",
        "portrait_distance",
        "attractors",
        "AttractorSet",
        "input_path",
        "lyapunov_spectrum",
        "rest_points",
        "RestPoints",
        "context_mechanism",
        "ContextMechanism",
    ],
    "Compare": [
        "compare",
        "Comparison",
        "find_conjugacy",
        "Conjugacy",
        "compare_groups",
        "GroupComparison",
        "solution_classes",
        "SolutionClasses",
    ],
    "Across tasks, through learning, under lesions": [
        "shared_motifs",
        "learning_curve",
        "points_through_learning",
        "verdicts_through_learning",
        "lesion_effects",
        "generalisation_table",
        "generalise_alike",
    ],
    "Recordings and models of them": [
        "Recording",
        "simulate_spikes",
        "nearest_kind",
        "KindNaming",
        "turing_test",
        "TuringTest",
        "animal_ceilings",
        "fit",
        "DataRun",
        "recovery",
        "Recovery",
    ],
    "From CtDB": ["install_ctd"],
}
PACKAGES = {
    "tasks": "The tasks, and what a task of your own needs",
    "networks": "The kinds of network",
    "training": "Recipes, evaluation, Lightning",
    "populations": "Sweeps",
    "runs": "Runs and their folders",
    "dynamics": "Fixed points, attractors, exponents, Gramians",
    "similarity": "Measures, intervals, nulls, the known-answer suite",
    "recordings": "Recordings, decoding, scores of spikes",
    "models": "Models of recordings",
    "arm": "Plants",
    "closed_loop": "Network and arm as one system",
    "plots": "Figures",
}


def public(package: str) -> list[str]:
    """The classes and functions of a package, without its modules and without what `import conjugacy` has already."""
    module, face = importlib.import_module(f"conjugacy.{package}"), importlib.import_module("conjugacy")
    return [
        name
        for name in module.__all__
        if not inspect.ismodule(getattr(module, name)) and getattr(face, name, None) is not getattr(module, name)
    ]


def write_api(folder: Path) -> None:
    """Pages that list every public name, each with a page of its own."""
    folder.mkdir(exist_ok=True)
    face = [f"{title}\n{'-' * len(title)}\n\n{_list('conjugacy', names)}" for title, names in FACE.items()]
    lines = [
        "API reference",
        "=============",
        "",
        "``import conjugacy as cj``: what most scripts need. Packages with more are below.",
        "",
        *face,
        "Packages",
        "--------",
        "",
        ".. toctree::",
        "   :maxdepth: 1",
        "",
        *(f"   {package}" for package in PACKAGES),
        "",
    ]
    _write(folder / "index.rst", "\n".join(lines))
    for package, title in PACKAGES.items():
        heading = f"{package}: {title[0].lower()}{title[1:]}"
        names = public(package)
        listed = _list(f"conjugacy.{package}", names) if names else "All of it is on the first page of the reference.\n"
        text = f"{heading}\n{'=' * len(heading)}\n\n{listed}"
        _write(folder / f"{package}.rst", text)


def write_citing(page: Path, citation: Path) -> None:
    """The page that says how to cite, from CITATION.cff."""
    cited = yaml.safe_load(citation.read_text(encoding="utf-8"))
    fields = {
        "title": "{" + cited["title"] + "}",
        "author": "{" + cited["authors"][0]["name"] + "}",
        "version": cited["version"],
        "year": str(cited["date-released"])[:4],
    }
    own = "@software{conjugacy,\n" + ",\n".join(f"  {key} = {{{value}}}" for key, value in fields.items()) + "\n}"
    lines = [
        "# How to cite",
        "",
        "The software, with its version:",
        "",
        "```bibtex",
        own,
        "```",
        "",
        "And the papers of the methods that you used; the documentation of each function names its own, and the "
        "[report](report.md) of a comparison has those of its measures.",
        "",
        *(f"- {_said(entry)}" for entry in cited["references"]),
        "",
    ]
    _write(page, "\n".join(lines))


def figures(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the figures that a block of an example has made under a name, and show them."""
    from matplotlib.figure import Figure
    from sphinx_gallery.scrapers import figure_rst

    seen = block_vars.setdefault("conjugacy_figures", set())
    paths, made = block_vars["image_path_iterator"], []
    for value in block_vars["example_globals"].values():
        if isinstance(value, Figure) and id(value) not in seen:
            seen.add(id(value))
            path = next(paths)
            value.savefig(path, dpi=110)
            made.append(path)
    return figure_rst(made, gallery_conf["src_dir"])


def reset(gallery_conf: dict[str, Any], fname: str) -> None:
    """Nothing of one example is left to the next."""
    import matplotlib

    matplotlib.rcdefaults()
    matplotlib.use("agg")


def _list(module: str, names: list[str]) -> str:
    rows = "\n".join(f"   {name}" for name in names)
    return f".. currentmodule:: {module}\n\n.. autosummary::\n   :toctree: generated\n   :nosignatures:\n\n{rows}\n"


def _said(entry: dict[str, Any]) -> str:
    """A reference in one line."""
    names = [a.get("family-names") or a.get("name") for a in entry["authors"]]
    who = ", ".join(names[:3]) + (" et al." if len(names) > 3 else "")
    where = " ".join(
        str(part)
        for part in (
            entry.get("journal") or entry.get("conference", {}).get("name") or entry.get("publisher", {}).get("name"),
            entry.get("volume"),
        )
        if part
    )
    doi = f", doi:{entry['doi']}" if "doi" in entry else ""
    used_for = f" For {entry['notes']}." if "notes" in entry else ""
    return f"{who} ({entry.get('year', 'no year')}). {entry['title']}. {where}{doi}.{used_for}"


def _write(path: Path, text: str) -> None:
    """Only what has changed, so that a second build is quick."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
