"""Every figure with few, some and many things in it: all text can be read, axes and series have names."""

import inspect
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import conjugacy as cj
from conjugacy import plots
from conjugacy.analysis.births import PointsThroughLearning
from conjugacy.analysis.context import ContextMechanism
from conjugacy.analysis.generalising_alike import GeneralisingAlike
from conjugacy.analysis.groups import GroupComparison
from conjugacy.analysis.learning import LearningCurve
from conjugacy.analysis.lesion_table import LesionEffects
from conjugacy.analysis.motifs import SharedMotifs
from conjugacy.analysis.population_classes import SolutionClass, SolutionClasses, Unseen
from conjugacy.analysis.rest_points import RestPoints
from conjugacy.dynamics import FixedPoints, Portrait
from conjugacy.dynamics.continuation import Event, InputPath
from conjugacy.plots import curves
from conjugacy.runs.trial_sets import TrialSets
from conjugacy.similarity import Pairwise, Surface, get_measure, measure_names
from conjugacy.similarity.conjugacy_maps import fit_conjugacy
from conjugacy.similarity.known_answers import known_pairs
from conjugacy.similarity.score import Interval, Score
from conjugacy.system import System

SIZES = (2, 8, 60)
KINDS = ("GRU-128", "NODE-3", "low-rank RNN-256", "LSTM-64", "vanilla-100")


def rng(n):
    return np.random.default_rng(n)


def names(n):
    return tuple(f"{KINDS[k % 5]} seed {k // 5}" for k in range(n))


def points(n, d=4, kinds=True):
    """`n` fixed points in `d` dimensions: corners of a cube and what lies between, in order of their instability."""
    r = rng(n)
    x = np.sign(r.normal(size=(n, d))) + 0.15 * r.normal(size=(n, d))
    n_unstable = np.minimum(np.sort(r.choice([0, 0, 1, 1, 2, 3, 4] if kinds else [0], n)), d)
    values = 0.7 * r.uniform(0.3, 1, (n, d)) * np.exp(0.4j * r.normal(size=(n, d)))
    for k, m in enumerate(n_unstable):
        values[k, :m] = r.uniform(1.05, 1.4, m)
    values = np.take_along_axis(values, np.argsort(-np.abs(values), axis=1), 1)
    eye = np.stack([np.diag(np.abs(v)) for v in values]) if n else np.zeros((0, d, d))
    kind = np.full(n, "fixed", dtype="<U10")
    if kinds and n > 4:
        kind[-3:] = ["held", "slow", "unresolved"]
    return FixedPoints(
        x=x, u=np.zeros((n, 2)), q=np.full(n, 1e-20), kind=kind, jacobian=eye, input_jacobian=np.zeros((n, d, 2)),
        eigenvalues=values, n_unstable=n_unstable, index=(-1) ** n_unstable, certificate=np.full(n, "kantorovich"),
        radius=np.ones(n), error=np.zeros(n), isolated=np.ones(n, dtype=bool), hits=r.integers(1, 300, n),
        horizon=np.full(n, np.inf), dt=0.01,
    )  # fmt: skip


def portrait(n, labelled=True, lost=True):
    """A hypercube's memories where there are 2, 4, 8, .. of them, else a ring of `n`; with dead ends."""
    channels = int(np.log2(n)) if labelled and n & (n - 1) == 0 else 0
    labels = tuple("".join("+-"[k >> c & 1] for c in range(channels)) for k in range(n))
    pairs = [(a, b) for a in range(n) for b in range(a) if channels and bin(a ^ b).count("1") == 1]
    pairs = pairs or [(k, (k + 1) % n) for k in range(n)]
    edges = [(n + k, min(p), max(p)) for k, p in enumerate(pairs)]
    if lost:
        edges += [(n + len(edges), -1, 0), (n + len(edges) + 1, -1, -1)]
    saddles, higher = len(edges), 3
    n_unstable = (0,) * n + (1,) * saddles + (2,) * higher
    labels += ("",) * (saddles + higher)
    return Portrait(
        {0: n, 1: saddles, 2: higher}, None, n_unstable, tuple(edges), labels, torch.zeros(len(labels), 5) + 0j
    )


def pairwise(n, measures=("dsa", "state_r2")):
    r = rng(n)
    where = r.normal(size=(n, 3)) + 3 * r.integers(0, 2, (n, 1))
    d = np.linalg.norm(where[:, None] - where[None], axis=2)
    values = {"dsa": d / d.max(), "state_r2": 1 - d / d.max() + 0.02 * r.normal(size=(n, n))}
    chosen = {m: get_measure(m) for m in measures}
    return Pairwise(names(n), names(n), chosen, {m: values[m] for m in measures}, ())


def scores(n):
    """Scores with intervals and nulls, of `n` pairs."""
    r = rng(n)
    pair = [cj.System.from_arrays(name, r.normal(size=(12, 15, 3))) for name in ("a", "b")]
    made = cj.compare(pair, ["cka", "procrustes"], null="auto", n_resamples=20, n_surrogates=9, progress=False).scores
    return [replace(s, a=f"network {k}", b=f"network {k + 1}") for s in made for k in range(n)][: max(n, 2)]


def surface(n):
    r = rng(n)
    where = r.normal(size=(4, 3, n, 3)) * 0.1 + r.normal(size=(1, 1, n, 3))
    d = np.linalg.norm(where[:, :, :, None] - where[:, :, None], axis=-1)
    return Surface("dsa", names(n), (4, 6, 8, 12), (2, 5, 10), d / 6, r.uniform(0, 0.1, (4, 3)), False, "")


def systems(n, units=5):
    r = rng(n)
    base = r.normal(size=(62, 20, 3)).cumsum(1)
    return [System.from_arrays(name, torch.from_numpy(np.tanh(base @ r.normal(size=(3, units))))) for name in names(n)]


def groups(n):
    members = names(n)
    where = rng(n).normal(size=(n, 3))
    d = np.linalg.norm(where[:, None] - where[None], axis=2)
    cut = max(1, n // 3)
    parts = {"trained with noise": members[:cut], "trained without": members[cut:]}
    return GroupComparison(parts, {"dsa": d}, (), 0.95)


def classes(n):
    found = tuple(
        SolutionClass(names(n)[k], names(n)[: max(1, 30 // (k + 1))], f"{8 + k} memories, {12 + k} saddles, index 1")
        for k in range(n)
    )
    return SolutionClasses("skeleton", found, Unseen(n + 3.0, n, n + 9.0, 0.05, 0.15), {}, 0.95)


def contexts(n):
    r = rng(n)
    made = []
    for name in names(n):
        share = r.dirichlet([4, 2, 3])
        cloud = share + 0.05 * r.normal(size=(60, 3))
        doubts = ("the line is short",) if r.uniform() < 0.2 else ()
        shares = dict(zip(("direct", "indirect", "selection"), share))
        rows = pd.DataFrame({"selected": [0.9, 0.8]}, index=["motion", "colour"])
        made.append(ContextMechanism(name, shares, {}, rows, rows, torch.zeros(2, 2), 0.3, doubts, 0.95, cloud))
    return {"trained with noise": made[: n // 2], "trained without": made[n // 2 :]}


def path(n):
    """Fixed points on a way of 11 inputs; of `n` points half vanish on it."""
    found, branches = [], []
    base = points(n, kinds=False).x
    for k in range(11):
        alive = n if k < 6 else max(1, n // 2)
        p = points(alive, kinds=False)
        unstable = np.arange(alive) % 3
        found.append(replace(p, x=base[:alive] + 0.05 * k, n_unstable=unstable, kind=np.full(alive, "fixed")))
        branches.append(tuple(range(alive)))
    event = Event("vanish", 0.5, 0.6, (1, 2), torch.zeros(2))
    return InputPath(torch.zeros(11, 2), found, branches, (event,))


class Hand:
    """Stands for the map of a coupled system: its readout is the hand."""

    readout = staticmethod(lambda x: x[:, :2])


def rest(n):
    turn = 2 * np.pi * np.arange(n) / n
    targets = torch.from_numpy(np.stack([0.1 * np.cos(turn), 0.4 + 0.1 * np.sin(turn)], 1))
    made = []
    for target in targets:
        p = points(2, kinds=False)
        x = np.concatenate([target.numpy() + 0.01 * rng(3).normal(size=(2, 2)), p.x[:, 2:]], 1)
        made.append(replace(p, x=x, n_unstable=[0, 1]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FixedPoints, "readout", property(lambda self: self.x[:, :2]))
        found = RestPoints(targets, tuple(made), (), (), {"network": slice(0, 3)}, "GRU-128")
        return plots.rest_map(found)


def conditions(n):
    values = np.concatenate([[0.01], rng(n).uniform(0.01, 0.06, n - 1)])
    index = ["as trained", *(f"force field of {k} N, mass x {1 + k / 10:.1f}" for k in range(n - 1))]
    return pd.DataFrame({"end_error": values}, index=index)


def learning(n, measures=("state_r2", "procrustes")):
    scores, steps = {}, [0, *np.unique(np.geomspace(10, 30000, n).astype(int))]
    for step in steps:
        value = 1 - np.exp(-step / 3000)
        ways = [("state_r2", "x -> y"), ("state_r2", "y -> x"), ("procrustes", "x <-> y")]
        scores[step] = tuple(
            Score(m, "1", "x", "y", value, way, True, Interval(value - 0.05, value + 0.05, 0.95, "bootstrap", 0.0, 100))
            for m, way in ways
        )
    table = pd.DataFrame(
        {"r2": np.linspace(0, 1, len(steps)), "accuracy": np.linspace(0.3, 1, len(steps))}, index=steps
    )
    return LearningCurve("GRU-128", "GRU-128 seed 1", scores, table)


def births(n):
    steps = [0, 10, 30, 100, 300, 1000, 3000, 10000]
    sizes = np.linspace(1, n, len(steps)).astype(int)
    found = {s: replace(points(k, kinds=False), n_unstable=np.arange(k) % 4) for s, k in zip(steps, sizes)}
    return PointsThroughLearning(
        "GRU-128",
        tuple(steps),
        found,
        {s: tuple(range(k)) for s, k in zip(steps, sizes)},
        pd.DataFrame({"before": [], "branches": [], "kind": []}),
    )


def lesions(n):
    r = rng(n)
    index = [f"directions of motif {k}" for k in range(n)]
    drop = r.uniform(0, 0.5, n)
    table = pd.DataFrame({"size": 3, "drop": drop, "low": 0.9 - drop, "high": 1.0 - drop, "p": 0.025}, index=index)
    return LesionEffects("GRU-128", "accuracy", 0.98, table, {i: r.uniform(0, 0.1, 39) for i in index})


def motifs(n):
    places = [f"MemoryPro {k}, mem1" for k in range(n)]
    kinds = np.sort(np.arange(n) % max(2, n // 4))
    shares = pd.DataFrame((kinds[:, None] == kinds[None]) * 0.8 + 0.1, index=places, columns=places)
    run = type("Stands for a run", (), {"name": "GRU-256"})()
    return SharedMotifs(run, {p: points(3, kinds=False) for p in places}, shares, dict(zip(places, kinds.tolist())))


def alike(n):
    r = rng(n)
    x = r.uniform(size=n * (n - 1) // 2)
    pairs = pd.DataFrame({"similarity": x, "difference": 0.1 * x + 0.02 * r.normal(size=len(x))})
    return GeneralisingAlike("portrait", "accuracy", pd.DataFrame(), pairs, 0.61, 0.003)


def verdicts(n):
    relations = [f"relation that keeps {k}" for k in range(5)] + [f"relation that changes {k}" for k in range(6)]
    known = [*measure_names(), *(f"measure {k}" for k in range(60))][:n]
    kinds = ["pass", "moves", "blind", "fails", "n/a"]
    rows = [(m, t, k < 5, kinds[(k + i) % 5]) for i, m in enumerate(known) for k, t in enumerate(relations)]
    return pd.DataFrame(rows, columns=["measure", "relation", "same", "verdict"])


@pytest.fixture(scope="module")
def flip_flop():
    task = cj.tasks.NBitFlipFlop(n=3, n_timesteps=60, switch_prob=0.05, noise=0.1)
    network = cj.networks.GRU(12)
    network.init_model(3, 3)
    return cj.Run(task, network.eval(), 0, TrialSets(n=320, seed=0, n_test=64, test_seed=1), name="GRU-12 seed 3")


@pytest.fixture(scope="module")
def reacher():
    network = cj.networks.GRU(6)
    network.init_model(17, 6)
    task = cj.tasks.RandomTarget(max_ep_duration=0.9, catch_prob=0.1)
    return cj.Analysis(cj.Run(task, network.eval(), 0, TrialSets(n=320, seed=0, n_test=64, test_seed=1)))


def trained(run, n):
    steps = np.arange(0, 3000, 100)
    made = []
    for k, name in enumerate(names(n)):
        loss = 0.3 * np.exp(-steps / (400 + 20 * k)) + 0.001 * (1 + rng(k).uniform(size=len(steps)))
        history = pd.DataFrame({"step": steps, "loss": loss, "val_r2": 1 - 3 * loss})
        made.append(replace(run, name=name, history=history))
    return made


def _epochs(n):
    rules = tuple(cj.tasks.MultiTask.RULES)[: min(n, 15)]
    task = cj.tasks.MultiTask(rules=rules, bin_size=60)
    network = cj.networks.GRU(6)
    network.init_model(len(task.input_labels), len(task.output_labels))
    run = cj.Run(task, network.eval(), 0, TrialSets(n=200, seed=0, n_test=4, test_seed=1))
    return cj.Analysis(run).epochs("all")


def recorded(seed, name, n_trials=12):
    counts = rng(seed).poisson(2.0, (n_trials, 30, 5))
    conditions = [f"condition {k % 6}" for k in range(n_trials)]
    return cj.Recording.from_counts(counts, 0.02, conditions=conditions, name=name).smooth(0.06)


def still(animation):
    animation._draw_was_started = True  # or it complains that nobody has played it
    return animation._fig


# figure -> how it is made of n things; a figure that needs a run takes it by name
CASES = {
    "latents_3d of networks": lambda n, flip_flop: plots.latents_3d(
        [replace(flip_flop, name=name) for name in names(n)], 4
    ),
    "latents_3d of trials": lambda n, flip_flop: plots.latents_3d(flip_flop, n),
    "latents_3d by time": lambda n, flip_flop: plots.latents_3d([flip_flop] * 2, n, colour="time"),
    "latents_3d of recordings": lambda n: plots.latents_3d([recorded(k, name) for k, name in enumerate(names(n))]),
    "latents_3d of recorded trials": lambda n: plots.latents_3d(recorded(0, "M1", n_trials=n), n, colour="time"),
    "scree": lambda n, flip_flop: plots.scree(flip_flop, n),
    "trial_io": lambda n, flip_flop: plots.trial_io(flip_flop, n),
    "training_curves": lambda n, flip_flop: plots.training_curves(trained(flip_flop, n)),
    "affine_overlay of networks": lambda n: plots.affine_overlay(systems(n), systems(n)),
    "affine_overlay of trials": lambda n: plots.affine_overlay(systems(2), systems(2), num_trials=n),
    "affine_overlay in a plane": lambda n: plots.affine_overlay(systems(n, 2), systems(n, 2)),
    "forest": lambda n: plots.forest(scores(n)),
    "similarity_matrix": lambda n: plots.similarity_matrix(pairwise(n), "dsa"),
    "similarity_matrix with directions": lambda n: plots.similarity_matrix(pairwise(n), "state_r2"),
    "similarity_map": lambda n: plots.similarity_map(pairwise(n), "dsa"),
    "similarity_map of groups": lambda n: plots.similarity_map(
        pairwise(n), "dsa", groups=[f"group {k % 12}" for k in range(n)]
    ),
    "parameter_surface": lambda n: plots.parameter_surface(surface(n)),
    "known_answers": lambda n: plots.known_answers(verdicts(n)),
    "conjugacy": lambda n, found: plots.conjugacy(found),
    "group_map": lambda n: plots.group_map(groups(n)),
    "class_counts": lambda n: plots.class_counts(classes(n)),
    "context_triangle": lambda n: plots.context_triangle(contexts(n)),
    "fixed_points_3d": lambda n: plots.fixed_points_3d(points(n)),
    "fixed_points_3d with trajectories": lambda n: plots.fixed_points_3d(points(n), systems(1, 4)[0]),
    "fixed_points_3d in a plane": lambda n: plots.fixed_points_3d(points(n, 2)),
    "spectrum": lambda n: plots.spectrum(points(n)),
    "hits": lambda n: plots.hits(points(n)),
    "portrait_graph": lambda n: plots.portrait_graph(portrait(n)),
    "portrait_graph of a cube": lambda n: plots.portrait_graph(portrait(min(n, 64) if n < 60 else 64, lost=False)),
    "portrait_graph on a circle": lambda n: plots.portrait_graph(portrait(n, labelled=False)),
    "trajectories_by_epoch": lambda n: plots.trajectories_by_epoch(_epochs(n)),
    "shared_subspaces": lambda n: plots.shared_subspaces(_epochs(n), "response"),
    "branches": lambda n: plots.branches(path(n)),
    "hand_paths": lambda n, reacher: plots.hand_paths(reacher, n),
    "hand_speed": lambda n, reacher: plots.hand_speed(reacher),
    "muscle_commands": lambda n, reacher: plots.muscle_commands(reacher, n),
    "latents_at_cue": lambda n, reacher: plots.latents_at_cue(reacher),
    "rest_map": rest,
    "generalisation": lambda n: plots.generalisation(conditions(n)),
    "animate_arm": lambda n, reacher: still(plots.animate_arm(reacher, n)),
    # figures behind methods called `plot` or `render`
    "LearningCurve.plot": lambda n: learning(n).plot(),
    "PointsThroughLearning.plot": lambda n: births(n).plot(),
    "LesionEffects.plot": lambda n: lesions(n).plot(),
    "SharedMotifs.plot": lambda n: motifs(n).plot(),
    "GeneralisingAlike.plot": lambda n: alike(n).plot(),
    "NBitFlipFlop.render": lambda n, flip_flop: flip_flop.task.render(0),
    "curves.overlaid": lambda n: curves.overlaid(
        {k: rng(1).normal(size=(2, 30, 3)) for k in names(n)}, ["PC 1", "PC 2", "PC 3"], 0.01
    ),
    "curves.side_by_side": lambda n: curves.side_by_side(
        {k: rng(1).normal(size=(2, 30, 3)) for k in names(min(n, 12))}, ["PC 1", "PC 2", "PC 3"], 0.01
    ),
}
ONE_SIZE = {"conjugacy", "hand_speed", "latents_at_cue", "animate_arm", "NBitFlipFlop.render"}
NO_AXES = {"portrait_graph", "context_triangle"}  # places in them have no unit


@pytest.fixture(scope="module")
def found():
    pair = {p.relation: p for p in known_pairs(0)}["fixed point removed"]
    return fit_conjugacy(pair.a, pair.b, n_steps=0)


def drawn(case, n, request):
    make = CASES[case]
    needs = list(inspect.signature(make).parameters)[1:]
    return make(n, *(request.getfixturevalue(name) for name in needs))


WANTED = [(c, n) for c in CASES for n in (SIZES[:1] if c in ONE_SIZE else SIZES)]
# quick in all: every figure once, and with sixty those whose names have to give way
ALWAYS = {
    "similarity_matrix",
    "similarity_map",
    "portrait_graph",
    "fixed_points_3d",
    "hits",
    "generalisation",
    "context_triangle",
}
LONG = {
    "trial_io",
    "muscle_commands",
    "latents_3d of networks",
    "latents_3d of recordings",
    "trajectories_by_epoch",
    "curves.side_by_side",
    "shared_subspaces",
    "affine_overlay of trials",
}


def slow(case, n):
    return not (n == 60 if case in ALWAYS else n == 2 if case in LONG or case in ONE_SIZE else n == 8)


@pytest.mark.parametrize(
    ("case", "n"),
    [pytest.param(c, n, marks=[pytest.mark.slow] if slow(c, n) else []) for c, n in WANTED],
)
def test_all_text_can_be_read(case, n, request, unreadable):
    fig = drawn(case, n, request)
    assert unreadable(fig) == []
    if case.split(" ")[0] in NO_AXES:
        return
    panels = [ax for ax in fig.axes if ax.get_label() != "<colorbar>"]
    for ax in panels:
        names = ax.get_xlabel(), ax.get_ylabel()
        shared = ax.get_subplotspec() is not None and len(panels) > 1
        assert all(names) or shared, (case, names)
    assert any(ax.get_xlabel() for ax in panels)
    assert any(ax.get_ylabel() for ax in panels) or fig._supylabel
    for ax in fig.axes:
        if ax.get_label() == "<colorbar>":
            assert ax.get_ylabel()
    if case not in ("scree",):
        assert any(ax.get_title() for ax in fig.axes) or fig.get_suptitle()


def test_every_public_figure_is_looked_at():
    public = {name for name in plots.__all__ if callable(getattr(plots, name)) and name != "style"}
    assert public <= {case.split(" ")[0] for case in CASES}
