"""What repeats the report: versions, seeds, hashes, commands; a paragraph of methods, and the references."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np
import torch

from conjugacy._version import __version__
from conjugacy.report.elements import code, folded, listed, paragraph, section, table

# of measures and methods, by the beginning of the name; the others are listed by the reference of their traits
_BIBTEX = {
    "cka": "@inproceedings{kornblith2019, author={Kornblith, Simon and Norouzi, Mohammad and Lee, Honglak and Hinton, "
    "Geoffrey}, title={Similarity of Neural Network Representations Revisited}, booktitle={ICML}, year={2019}}",
    "procrustes": "@inproceedings{williams2021, author={Williams, Alex H. and Kunz, Erin and Kornblith, Simon and "
    "Linderman, Scott W.}, title={Generalized Shape Metrics on Neural Representations}, "
    "booktitle={NeurIPS}, year={2021}}",
    "dsa": "@inproceedings{ostrow2023, author={Ostrow, Mitchell and Eisen, Adam and Kozachkov, Leo and Fiete, Ila}, "
    "title={Beyond Geometry: Comparing the Temporal Structure of Computation in Neural Circuits with Dynamical "
    "Similarity Analysis}, booktitle={NeurIPS}, year={2023}}",
    "rsa": "@article{kriegeskorte2008, author={Kriegeskorte, Nikolaus and Mur, Marieke and Bandettini, Peter}, "
    "title={Representational similarity analysis: connecting the branches of systems neuroscience}, "
    "journal={Frontiers in Systems Neuroscience}, volume={2}, year={2008}}",
    "svcca": "@inproceedings{raghu2017, author={Raghu, Maithra and Gilmer, Justin and Yosinski, Jason and "
    "Sohl-Dickstein, Jascha}, title={{SVCCA}: Singular Vector Canonical Correlation Analysis for Deep Learning "
    "Dynamics and Interpretability}, booktitle={NeurIPS}, year={2017}}",
}
_FIXED_POINTS = (
    "@article{sussillo2013, author={Sussillo, David and Barak, Omri}, title={Opening the Black Box: Low-Dimensional "
    "Dynamics in High-Dimensional Recurrent Neural Networks}, journal={Neural Computation}, volume={25}, number={3}, "
    "pages={626--649}, year={2013}}"
)


def provenance_section(comparison: Any, folders: Mapping[str, str]) -> str:
    """Versions, and for each run its seed, the hash of its weights and how to train it again."""
    rows, configs = [], []
    for name, run in comparison.runs.items():
        rows.append(
            {
                "network": name,
                "task": run.task.name,
                "seed": run.seed,
                "gradient steps": run.metrics.get("steps"),
                "weights (SHA-256)": weights_hash(run)[:16],
                "folder": folders.get(name, ""),
            }
        )
        configs.append(folded(f"Settings of {name}", code(json.dumps(run.config(), indent=2))))
    versions = f"conjugacy {__version__}, torch {torch.__version__}, numpy {np.__version__}"
    versions += f", Python {platform.python_version()}"
    return section(
        "provenance",
        "How this was made, and how to make it again",
        paragraph(versions + "."),
        table("Networks", rows),
        listed(f"{name}: {text}" for name, text in comparison.provenance.items()),
        paragraph("The same comparison again:"),
        code(_commands(comparison, folders)),
        *(configs if len(configs) <= 6 else configs[:6]),
    )


def methods_section(comparison: Any) -> str:
    """A paragraph for a paper, with the references behind a button."""
    r = comparison._resampling
    names = ", ".join(m.name for m in comparison.measures)
    kinds = list(dict.fromkeys(s.null.kind for s in comparison.scores if s.null is not None and s.null.n_surrogates))[
        :3
    ]
    text = (
        f"We compared {len(comparison.systems)} systems on {comparison.systems[0].n_trials} trials that no network was "
        f"trained on, with conjugacy {__version__}, by {names}. "
    )
    if r.interval is not None:
        text += (
            f"Intervals ({r.interval:.0%}) come from {r.n_resamples} resamples of the trials, or as the figure says. "
        )
    if kinds:
        text += f"Scores were held against surrogates ({'; '.join(kinds)}). "
    if any(s.step is not None for s in comparison.systems):
        text += (
            "Fixed points were sought without input, from states that the networks visited (Sussillo and Barak 2013). "
        )
    text += f"All random numbers come from seed {r.seed}."
    references = [f"{m.name} (version {m.version}): {m.traits.reference}" for m in comparison.measures]
    entries = [_entry(m) for m in comparison.measures]
    entries = [*dict.fromkeys(e for e in entries if e), _FIXED_POINTS]
    return section(
        "methods",
        "Methods, for a paper",
        paragraph(text),
        listed(r for r in references if not r.endswith(": ")),
        folded("BibTeX", code("\n\n".join(entries))),
    )


def weights_hash(run: Any) -> str:
    """SHA-256 over the weights of a run, by name."""
    digest = sha256()
    for name, value in sorted(run.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(value.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()


def _entry(measure: Any) -> str:
    return next((text for start, text in _BIBTEX.items() if start in measure.name), "")


def _commands(comparison: Any, folders: Mapping[str, str]) -> str:
    r = comparison._resampling
    names = [s.name for s in comparison.systems]
    measures = ",".join(m.name for m in comparison.measures)
    if all(name in folders for name in names):
        lines = [
            f"conjugacy repeat {shlex.quote(folders[n])} --out {shlex.quote(folders[n] + '-again')}"
            for n in names
            if n in comparison.runs
        ]
        places = " ".join(shlex.quote(folders[n]) for n in names)
        null = f" --null {r.null}" if isinstance(r.null, str) else ""
        line = f"conjugacy report {places} --measures {measures} --seed {r.seed}{null}"
        line += f" --n-trials {comparison.systems[0].n_trials}"
        return "\n".join([*lines[:6], f"{line} --out report.html"])
    null = f", null={r.null!r}" if isinstance(r.null, str) else ""
    return (
        "import conjugacy as cj\n\n"
        f"things = [...]  # {', '.join(names)}\n"
        f"comparison = cj.compare(things, {measures.split(',')!r}, seed={r.seed}, "
        f"n_trials={comparison.systems[0].n_trials}{null})\n"
        'comparison.report("report.html")'
    )
