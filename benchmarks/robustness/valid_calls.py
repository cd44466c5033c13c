"""A valid, cheap call of everything public: what `wrong_arguments` then calls with one wrong argument at a time."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

import conjugacy as cj

PACKAGES = ("tasks", "networks", "similarity", "dynamics", "plots", "arm", "training", "recordings")
_SILENT = ("progress",)
# classes of results: made by the library, not by its callers; and what is abstract
_NOT_CALLED = {
    "Task", "Network", "Measure", "Traits", "Score", "Interval", "Null", "Pairwise", "Surface", "FixedPoints",
    "Portrait", "PortraitDistance", "Audit", "InputPath", "Cycle", "LyapunovSpectrum", "RestPoints", "ArmState",
    "Muscle", "Map", "PlannedRun", "Plan", "register", "CellNetwork", "GymnasiumTask", "Rollout",
    "adam_search", "from_motornet", "animate_arm",
    "AttractorSet", "run_sweep", "Attractor", "MemoryTimes", "HeldCertificate", "AffineForm",
    "sequence", "plain_sequence", "KnownPair", "check_measures", "Conjugacy", "GroupComparison", "DataRun",
}  # fmt: skip


_OF_RECORDINGS: dict[str, dict[str, Any]] = {
    "smooth": {"sd": 0.02}, "bin": {"bin_size": 0.02}, "window": {"start": 0.0, "stop": 0.1},
    "sqrt": {}, "system": {}, "select": {"units": [0, 1]}, "average": {"by": "all"},
}  # fmt: skip


@dataclass
class Call:
    """Something public and arguments that it takes.

    Attributes
    ----------
    name : str
    function : callable
    valid : dict
        Arguments; those that are not named have their defaults.
    after : callable
        What is done with the result, to find errors that come late.
    passes_nan : bool
        Whether NaN in, NaN out is what its documentation says.
    """

    name: str
    function: Callable[..., Any]
    valid: dict[str, Any] = field(default_factory=dict)
    after: Callable[[Any], Any] = lambda result: None
    passes_nan: bool = False

    @property
    def arguments(self) -> dict[str, Any]:
        """All arguments by name, with the values of the valid call."""
        found = {}
        for name, parameter in _parameters(self.function).items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or name in _SILENT:
                continue
            if name in self.valid:
                found[name] = self.valid[name]
            elif parameter.default is not parameter.empty:
                found[name] = parameter.default
        return found

    @property
    def hands_on(self) -> bool:
        """Whether it takes options by any name."""
        return any(p.kind == p.VAR_KEYWORD for p in _parameters(self.function).values())

    def __call__(self, **changed: Any) -> Any:
        """Call it, some arguments changed."""
        quiet = {name: False for name in _SILENT if name in _parameters(self.function)}
        return self.function(**{**quiet, **self.valid, **changed})


def _parameters(function: Callable[..., Any]) -> Any:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def build_network(network: Any) -> Any:
    """What a network does with three trials."""
    torch.manual_seed(0)
    network.init_model(2, 2, 0)
    with torch.no_grad():
        return network.rollout(torch.zeros(3, 5, 2)) if hasattr(network, "rollout") else None


def draw(task: Any) -> Any:
    """Three trials of a task."""
    return task.trials(3, 0)


def things() -> dict[str, Any]:
    """Small objects, by the names of the arguments that take them."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((6, 20, 3)).cumsum(1) * 0.1 for _ in range(2))
    u = rng.standard_normal((6, 20, 2))
    task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=30)
    quick = {"steps": 2, "eval_every": 1, "batch_size": 4}
    run = cj.train(task, cj.networks.GRU(4), 0, False, **quick)
    folder = Path(tempfile.mkdtemp(prefix="valid-"))
    run.save(folder / "run")
    made: dict[str, Any] = {
        "task": task, "run": run, "network": run.network, "folder": folder / "run", "a": a, "b": b, "u": u,
        "trials": run.trials("test")[:6], "analysis": cj.Analysis(run), "out": folder / "new", "tmp": folder,
        "x0": torch.as_tensor(rng.standard_normal((16, 2))), "step": two_wells,
    }  # fmt: skip
    second = cj.train(task, cj.networks.GRU(4), 1, False, **quick)
    made["driven"] = [r.system(made["trials"]) for r in (run, second)]
    made["reach"] = cj.Analysis(_quick(cj.tasks.RandomTarget(), quick))
    made["ruled"] = cj.Analysis(_quick(cj.tasks.ContextualIntegration(duration=0.2), quick))
    made["rollout"] = run.rollout(made["trials"])
    made["system"] = cj.System.from_arrays("a", a, u)
    made["other"] = cj.System.from_arrays("b", b, u)
    made["points"] = cj.fixed_points(two_wells, made["x0"], [0.0, 0.0], 32, progress=False)
    made["portrait"] = made["points"].portrait()
    made["recording"] = cj.simulate_spikes(run, 6, 8, n_held_out=1, seed=0)
    made["pairs"] = cj.similarity.pairwise([a, b], ["procrustes", "cka"], progress=False)
    made["comparison"] = cj.compare([made["system"], made["other"]], ["procrustes"])
    made["path"] = cj.input_path(two_wells, [0.0, 0.0], [0.5, 0.0], 3, x0=made["x0"], n_inits=32, progress=False)
    made["rest"] = cj.rest_points(made["reach"].run, 1, n_inits=4, trials="val", progress=False)
    longer = {"longer": {"max_ep_duration": 1.5}}
    made["generalisation"] = cj.generalisation_table(made["reach"].run, longer, n_trials=2)
    made["surface"] = cj.similarity.surface([a, b], ranks=(2, 3), n_delays=(1, 2), progress=False)
    return made


def _quick(task: Any, settings: dict[str, Any]) -> Any:
    run = cj.train(task, cj.networks.GRU(4), 0, False, **settings)
    return dataclasses.replace(run, sets=cj.TrialSets(20, 0, 5, 1))


class ToyEnv(gymnasium.Env):
    """Sees noise; the right answer is the same at all times."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(3)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        """Begin a trial."""
        super().reset(seed=seed)
        self.t = 0
        return self._see()

    def step(self, action: Any) -> Any:
        """One step on."""
        self.t += 1
        seen, info = self._see()
        return seen, 0.0, self.t > 4, False, info

    def _see(self) -> Any:
        return self.np_random.normal(size=2).astype(np.float32), {"gt": 1}


def two_wells(x: Any, u: Any) -> Any:
    """A map of two units with two stable points in each."""
    return torch.tanh(2 * x) + u


def listed(t: dict[str, Any]) -> tuple[list[Call], list[str]]:
    """A call of everything public; and the names of what was left out, as no valid call is known."""
    calls, out = _own(t), []
    known = {call.name for call in calls}
    homes = [("cj", cj, [n for n in cj.__all__ if not inspect.ismodule(getattr(cj, n))])]
    for name in PACKAGES:
        try:
            home = importlib.import_module(f"conjugacy.{name}")
        except ImportError:
            continue
        homes.append((name, home, [n for n in getattr(home, "__all__", ()) if not inspect.ismodule(getattr(home, n))]))
    public = {n for n in cj.__all__ if not inspect.ismodule(getattr(cj, n))}
    for where, home, names in homes:
        for n in names:
            full, thing = f"{where}.{n}", getattr(home, n)
            if full in known or f"cj.{n}" in known or n in _NOT_CALLED or (where != "cj" and n in public):
                continue
            after = lambda result: None  # noqa: E731
            valid = _valid_of(n, thing, t)
            if where == "networks" and inspect.isclass(thing):
                valid, after = {"latent_size": 4}, build_network
            elif where == "tasks" and inspect.isclass(thing):
                valid, after = {}, draw
            if valid is None:
                out.append(full)
                continue
            calls.append(Call(full, thing, valid, after))
    return calls, out


def _valid_of(name: str, thing: Any, t: dict[str, Any]) -> dict[str, Any] | None:
    """Arguments by their names; None if one has to be given that is not known."""
    if not callable(thing):
        return None
    valid = {}
    for n, parameter in _parameters(thing).items():
        if (
            parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            or parameter.default is not parameter.empty
        ):
            continue
        if n not in t:
            return None
        valid[n] = t[n]
    return valid


def _own(t: dict[str, Any]) -> list[Call]:
    """Calls that have to be told."""
    s, d, p = cj.similarity, cj.dynamics, cj.plots
    run, task, a, b, points, trials = (t[k] for k in ("run", "task", "a", "b", "points", "trials"))
    analysis, reach, ruled, net = t["analysis"], t["reach"], t["ruled"], cj.networks.GRU(4)
    epochs = ruled.epochs()
    unnumbered = ("hand_speed", "latents_at_cue")
    longer = {"longer": {"max_ep_duration": 1.5}}
    condition, epoch = epochs.table().index[0], "evidence"
    quick = {"steps": 1, "eval_every": 1, "batch_size": 4}
    x0, held, system, other = t["x0"], [0.0, 0.0], t["system"], t["other"]
    search = {"x0": x0, "inputs": held}
    counts = np.random.default_rng(1).poisson(1.0, (4, 10, 3))
    conditions = np.repeat([0, 1], 3)
    few = {"n_steps": 50, "n_transient": 5, "n_orbits": 2}
    calls = [
        Call("cj.train", cj.train, {"task": task, "network": net, **quick}),
        Call("cj.train, settings", lambda task, network, **settings: cj.train(task, network, 0, False, **settings),
             {"task": task, "network": net, **quick}),
        Call("cj.train_population", cj.train_population,
             {"task": task, "network": net, "seeds": [0, 1], "workers": 1, **quick}),
        Call("cj.Recipe", cj.Recipe),
        Call("cj.load", cj.load, {"folder": t["folder"]}),
        Call("cj.rollout", cj.rollout, {"network": run.network, "task": task, "trials": trials}),
        Call("cj.Run.save", lambda folder, keep_trials=False: run.save(folder, keep_trials), {"folder": t["out"]}),
        Call("cj.Run.trials", run.trials), Call("cj.Run.rollout", run.rollout, {"trials": trials}),
        Call("cj.Run.system", run.system, {"trials": trials}),
        Call("cj.TrialSets", cj.TrialSets, {"n": 10, "seed": 0, "n_test": 5, "test_seed": 1}),
        Call("cj.TrialSets.from_seed", cj.TrialSets.from_seed, {"seed": 0}),
        Call("cj.Trials.from_tensors", cj.Trials.from_tensors,
             {"inputs": torch.zeros(3, 5, 2), "targets": torch.zeros(3, 5, 2)}),
        Call("cj.Trials.first", trials.first, {"n_timesteps": 5}),
        Call("cj.System.from_arrays", cj.System.from_arrays, {"name": "a", "trajectories": a, "inputs": t["u"]}),
        Call("cj.System", cj.System, {"name": "a", "trajectories": torch.as_tensor(a), "inputs": None,
                                      "lengths": torch.full((6,), 20)}),
        Call("cj.Analysis", cj.Analysis, {"run": run}),
        Call("cj.compare", cj.compare, {"things": [system, other], "measures": ["procrustes"]}),
        Call("cj.Comparison", cj.Comparison, {"systems": [system, other], "train": None, "measures": ["procrustes"]}),
        Call("cj.Comparison.plot_trials_3d_reference", t["comparison"].plot_trials_3d_reference),
        Call("cj.fixed_points", cj.fixed_points, {"step_or_system": two_wells, **search, "n_inits": 32}),
        Call("cj.fixed_points, adam", cj.fixed_points,
             {"step_or_system": two_wells, **search, "n_inits": 32, "method": "adam", "max_iters": 20}),
        Call("cj.FixedPoints.portrait", points.portrait),
        Call("cj.FixedPoints.save", points.save, {"path": t["tmp"] / "p.npz"}),
        Call("cj.FixedPoints.load", cj.FixedPoints.load, {"path": _saved(points, t["tmp"] / "q.npz")}),
        Call("cj.FixedPoints[]", lambda which: points[which], {"which": slice(None)}),
        Call("cj.input_path", cj.input_path,
             {"step_or_system": two_wells, "start": held, "stop": [0.5, 0.0], "n_nodes": 3, "x0": x0, "n_inits": 32}),
        Call("cj.lyapunov_spectrum", cj.lyapunov_spectrum, {"step_or_system": two_wells, **search, **few}),
        Call("cj.portrait_distance", cj.portrait_distance, {"a": t["portrait"], "b": t["portrait"]}),
        Call("cj.generalisation_table", cj.generalisation_table,
             {"run": reach.run, "conditions": longer, "n_trials": 2}),
        Call("cj.rest_points", cj.rest_points, {"run": reach.run, "targets": 1, "n_inits": 4, "trials": "val"}),
        Call("cj.Run", cj.Run, {"task": task, "network": run.network, "seed": 0, "sets": run.sets}),
        Call("cj.Trials", cj.Trials, {n: getattr(trials, n) for n in ("inputs", "targets", "mask", "true_inputs", "ics",
                                                                      "loads", "conditions", "epochs")}),
        Call("cj.Analysis.epochs", ruled.epochs),
        Call("cj.Epochs.states", epochs.states, {"condition": condition, "epoch": epoch}),
        Call("cj.Epochs.system", epochs.system, {"condition": condition, "epoch": epoch}),
        Call("plots.trajectories_by_epoch", p.trajectories_by_epoch, {"epochs": epochs}),
        Call("cj.find_conjugacy", cj.find_conjugacy, {"a": t["driven"][0], "b": t["driven"][1], "n_steps": 2}),
        Call("plots.conjugacy", p.conjugacy, {"found": cj.find_conjugacy(*t["driven"], n_steps=2)}),
        Call("cj.compare_groups", cj.compare_groups,
             {"groups": {"one": [a, b], "two": [a + 0.1, b + 0.1]}, "measures": ["procrustes"],
              "n_permutations": 100}),
        Call("cj.simulate_spikes", cj.simulate_spikes, {"run": run, "n_units": 6, "n_trials": 4, "n_held_out": 1}),
        Call("cj.fit", cj.fit, {"recording": t["recording"], "model": cj.networks.GRU(4), **quick}),
        Call("cj.Recording.from_counts", cj.Recording.from_counts, {"counts": counts, "bin_size": 0.01}),
        Call("cj.Recording.from_rates", cj.Recording.from_rates,
             {"rates": counts + 0.5, "bin_size": 0.01, "lengths": [10, 9, 8, 10], "conditions": [0, 0, 1, 1]}),
        *(Call(f"cj.Recording.{n}", getattr(t["recording"], n), valid) for n, valid in _OF_RECORDINGS.items()),
        Call("recordings.Signal.of", cj.recordings.Signal.of, {"name": "hand", "values": a, "dt": 0.01}),
        Call("recordings.Signal", cj.recordings.Signal, {"values": a, "lengths": np.full(6, 20), "dt": 0.01}),
        Call("recordings.noise_anchors", cj.recordings.noise_anchors, {"recording": t["recording"], "n": 2}),
        Call("recordings.lognormal_bits", cj.recordings.lognormal_bits, {"sd": 0.5}),
        *(Call(f"plots.{n}", getattr(p, n), {"analysis": reach, **({} if n in unnumbered else {"num_trials": 2})})
          for n in ("hand_paths", "hand_speed", "muscle_commands", "latents_at_cue")),
        Call("dynamics.portrait", d.portrait, {"points": points}),
        Call("dynamics.input_response", d.input_response,
             {"step_or_system": two_wells, "inputs": [held, [0.5, 0.0]], "x0": x0, "n_inits": 32}),
        Call("dynamics.find_cycles", d.find_cycles,
             {"step_or_system": two_wells, **search, "n_transient": 50, "max_period": 20}),
        Call("dynamics.as_map", d.as_map, {"step_or_system": two_wells}),
        Call("cj.attractors", cj.attractors,
             {"step_or_system": two_wells, **search, "n_orbits": 4, "n_transient": 50, "max_steps": 200}),
        Call("dynamics.held_certificate", d.held_certificate,
             {"thing": run.network.cell, "x": torch.zeros(4), "inputs": held, "radius": 0.01, "stay": 0.5,
              "n_steps": 5}),
        Call("dynamics.horizon_curve", d.horizon_curve,
             {"thing": run.network.cell, "x": torch.zeros(4), "radii": [0.01, 0.1], "inputs": held, "stay": 0.5,
              "n_steps": 5}),
        Call("dynamics.memory_times", d.memory_times, {"system": run.system(trials), "n_states": 3}),
        Call("dynamics.participation", d.participation, {"points": points, "parts": {"one": slice(0, 1)}}),
        Call("dynamics.timescales_along", d.timescales_along, {"system": run.system(trials), "k": 2, "n_max": 20}),
        Call("dynamics.linearisation_error", d.linearisation_error,
             {"system": run.system(trials), "points": analysis.fixed_points(0.0, 16, progress=False)}),
        Call("similarity.pairwise", s.pairwise, {"systems": [a, b]}),
        Call("similarity.pairwise, interval", s.pairwise,
             {"systems": [a, b], "interval": 0.9, "n_resamples": 10, "null": "auto", "n_surrogates": 5}),
        Call("similarity.cross", s.cross, {"systems": [a, b], "others": [b]}),
        Call("similarity.state_r2", s.state_r2, {"a": a, "b": b}),
        Call("similarity.surface", s.surface, {"systems": [a, b], "ranks": (2, 3), "n_delays": (1, 2)}),
        Call("similarity.split_half_ceiling", s.split_half_ceiling,
             {"measure": s.get_measure("cka"), "system": a, "split": "units", "n_splits": 3}),
        Call("similarity.get_measure", s.get_measure, {"name": "cka"}),
        Call("similarity.check_measures", s.check_measures, {"measures": ["cka"]}),
        Call("similarity.known_pairs", s.known_pairs, {"n_trials": 4, "n_steps": 30}),
        Call("similarity.kernel_features", s.kernel_features, {"system": a, "n_centres": 5}),
        Call("similarity.kernel_dmd", s.kernel_dmd, {"system": a, "rank": 3, "n_centres": 5}),
        Call("similarity.stochastic_shape_distance", s.stochastic_shape_distance,
             {"a": a, "b": b, "conditions": (conditions, conditions)}),
        Call("similarity.Pairwise.matrix", t["pairs"].matrix, {"measure": "cka"}),
        Call("similarity.Pairwise.mds", t["pairs"].mds, {"measure": "cka"}),
        Call("plots.latents_3d", p.latents_3d, {"analyses": [analysis]}),
        Call("plots.affine_overlay", p.affine_overlay, {"systems": [system, other], "train": [system, other]}),
        Call("plots.similarity_matrix", p.similarity_matrix, {"result": t["pairs"], "measure": "cka"}),
        Call("plots.similarity_map", p.similarity_map, {"result": t["pairs"], "measure": "cka"}),
        Call("plots.parameter_surface", p.parameter_surface, {"surface": t["surface"]}),
        Call("plots.fixed_points_3d", p.fixed_points_3d, {"points": points}),
        Call("plots.spectrum", p.spectrum, {"points": points}), Call("plots.hits", p.hits, {"points": points}),
        Call("plots.portrait_graph", p.portrait_graph, {"portrait": t["portrait"]}),
        Call("plots.known_answers", p.known_answers, {"table": s.check_measures(["cka"])}),
        Call("plots.shared_subspaces", p.shared_subspaces, {"epochs": epochs, "epoch": epoch}),
        Call("plots.branches", p.branches, {"path": t["path"]}),
        Call("plots.rest_map", p.rest_map, {"rest": t["rest"]}),
        Call("plots.generalisation", p.generalisation, {"table": t["generalisation"]}),
        Call("networks.from_cell", cj.networks.from_cell, {"cell": torch.nn.GRUCell(2, 4), "latent_size": 4}),
        Call("tasks.from_gymnasium", cj.tasks.from_gymnasium, {"env": ToyEnv(), "n_timesteps": 4}),
        Call("tasks.trials", task.trials, {"n": 3, "seed": 0}),
        Call("tasks.success_rate", task.success_rate, {"outputs": t["rollout"].outputs, "trials": trials}),
        Call("tasks.loss", task.loss, {"rollout": t["rollout"], "trials": trials}),
        Call("networks.init_model", lambda input_size, output_size, seed=0:
             cj.networks.GRU(4).init_model(input_size, output_size, seed), {"input_size": 2, "output_size": 2}),
        Call("networks.step", run.network.step, {"x": torch.zeros(3, 4), "u": torch.zeros(3, run.network.input_size)},
             passes_nan=True),
        Call("training.masked_r2", cj.training.masked_r2,
             {"outputs": torch.randn(3, 5, 2), "targets": torch.randn(3, 5, 2), "mask": torch.ones(3, 5, 2).bool()},
             passes_nan=True),
        Call("training.evaluate", cj.training.evaluate, {"network": run.network, "task": task, "trials": trials}),
        Call("sweeps.Plan.of", cj.sweeps.Plan.of,
             {"config": {"task": "NBitFlipFlop", "network": {"class": "GRU", "latent_size": 4}}}),
    ]  # fmt: skip
    for name in ("trials", "rollout", "latents", "outputs", "system", "explained_variance", "pcs", "plot_trial_io",
                 "plot_scree", "plot_latents_3d"):  # fmt: skip
        calls.append(Call(f"cj.Analysis.{name}", getattr(analysis, name)))
    calls.append(Call("cj.Analysis.fixed_points", analysis.fixed_points, {"n_inits": 16}))
    for name in s.measure_names():
        calls.append(Call(f"get_measure({name!r})", _measure(name), {}, lambda m: m(*t["driven"]).value))
    calls += _of_modules(a, b, counts)
    calls += _of_arm()
    return [call for call in calls if call.function is not None]


def _saved(points: Any, path: Path) -> Path:
    points.save(path)
    return path


def _measure(name: str) -> Callable[..., Any]:
    """A function with the parameters of a measure."""
    made = cj.similarity.get_measure(name)
    parameters = [
        inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=q.default)
        for n, q in inspect.signature(type(made)).parameters.items()
        if q.default is not q.empty
    ]
    default = [q for q in parameters if hasattr(made, q.name)]

    def make(**options: Any) -> Any:
        return cj.similarity.get_measure(name, **options)

    make.__signature__ = inspect.Signature([q.replace(default=getattr(made, q.name)) for q in default])  # type: ignore
    return make


def _of_modules(a: Any, b: Any, counts: Any) -> list[Call]:
    """Functions of `recordings` and of the modules of `similarity`, which documentation names."""
    rates, flat = np.exp(0.1 * a[:4, :10]), np.eye(3) * 0.9
    two = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    wanted = {
        "recordings.rate_r2": {"true": rates, "predicted": rates * 1.1},
        "recordings.bits_per_spike": {"rates": rates, "counts": counts},
        "recordings.co_bps": {"rates": rates, "counts": counts, "held_out": [0]},
        "recordings.co_bps_from_latents": {"latents": rates, "counts": counts, "train": (rates, counts)},
        "recordings.cycle_consistency": {"latents": rates, "log_rates": np.log(rates), "train": (rates, np.log(rates))},
        "recordings.input_r2": {"true": a, "inferred": b},
        "dmd.dmd": {"system": a, "rank": 2},
        "dmd.held_out_rank": {"system": a},
        "dsa.vector_field_angle": {"A": flat, "B": two},
        "dsa.pairwise_angles": {"operators": [flat, two]},
        "input_dsa.joint_distance": {"first": (flat, two), "second": (two, flat)},
        "input_dsa.identify": {"system": a, "rank": 2, "inputs": b},
        "spectrum.wasserstein": {"x": np.array([0.1, 0.5j]), "y": np.array([0.2, 0.4j])},
        "inference.reliability": {"value": 0.5, "ceiling": 0.9},
        "known_answers.known_pairs": {"n_trials": 4, "n_steps": 30},
    }
    calls = []
    for path, valid in wanted.items():
        module, name = path.split(".")
        home, prefix = (cj, "") if module == "recordings" else (cj.similarity, "similarity.")
        calls.append(Call(prefix + path, getattr(getattr(home, module), name), valid))
    return calls


def _of_arm() -> list[Call]:
    """Methods of the arm, and of what is done with it."""
    arm = cj.arm.RigidTendonArm26()
    calls = [
        Call("arm.RigidTendonArm26", cj.arm.RigidTendonArm26),
        Call("arm.TwoJointSkeleton", cj.arm.TwoJointSkeleton),
    ]
    for name in ("step", "initial_state", "reset", "hand", "observe"):
        method = getattr(arm, name, None)
        if callable(method) and not [q for q in _parameters(method).values() if q.default is q.empty]:
            calls.append(Call(f"arm.{name}", method))
    return calls
