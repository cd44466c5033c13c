"""What the files of 0.1 were made with, and what is to be read out of them; used by make.py and by the test."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import llvmlite.binding
import numba
import numpy as np
import torch

import conjugacy as cj
from conjugacy import arm, networks, tasks

FLIP_FLOP = {"n": 2, "n_timesteps": 20, "switch_prob": 0.1, "noise": 0.1}
TRAINING: dict[str, Any] = {"steps": 12, "batch_size": 4, "eval_every": 3, "progress": False}
INTERRUPTED_AT = 7
FEW_TRIALS = (10, 5)  # to train and validate on, and to test on
SWEEP = """\
task: {class: NBitFlipFlop, n: [1, 2], n_timesteps: 20, switch_prob: 0.1}
network: {class: GRU, latent_size: 2}
recipe: {steps: 6, batch_size: 4, eval_every: 3, learning_rate: 1e-2}
seeds: [0, 3]
"""
SWEEP_FINISHED, SWEEP_INTERRUPTED_AT = 2, 4
POPULATION = {"seeds": [3], "vary": {"latent_size": [2, 3]}, "steps": 6, "batch_size": 4, "eval_every": 3}
CLI = ["--seed", "2", "--recipe.steps", "3", "--recipe.batch_size", "2", "--progress", "false"]
# what 0.1 trained with where its configs say null and later versions train otherwise; reaching has kept its recipe
FORMER_RECIPE: dict[str, dict[str, float]] = {
    "flip_flop": {"learning_rate": 0.04, "short_share": 0.4, "stop_r2": 0.98},
    "reach": {},
}
CLI_CONFIGS = {
    "flip_flop": [
        *("--task=NBitFlipFlop", "--task.n_timesteps=20", "--task.switch_prob=0.1"),
        *("--network=GRU", "--network.latent_size=3"),
    ],
    "reach": [
        *("--task=RandomTarget", "--task.bump_force=[4.0,6.0]", "--task.effector=RigidTendonArm26"),
        *("--task.effector.damping=0.1", "--task.effector.muscle=ReluMuscle"),
        *("--network=VanillaRNN", "--network.latent_size=3"),
    ],
}


class Mine(networks.GRU):
    """A network class that is not part of conjugacy."""


def digest(arrays: dict[str, Any]) -> str:
    """SHA-256 of names, shapes, types and values."""
    sha = hashlib.sha256()
    for name, value in sorted(arrays.items()):
        x = np.ascontiguousarray(value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value)
        sha.update(f"{name} {x.shape} {x.dtype}".encode())
        sha.update(x.tobytes())
    return sha.hexdigest()


def machine() -> dict[str, str]:
    """What the last bits of a computation depend on; numbers that are computed anew are the same where this is."""
    return {
        "processor": llvmlite.binding.get_host_cpu_name(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "numba": numba.__version__,
    }


def flip_flop() -> tasks.NBitFlipFlop:
    """The task of most of the files."""
    return tasks.NBitFlipFlop(**FLIP_FLOP)


def random_target() -> tasks.RandomTarget:
    """A reach with an arm of its own in all its parts."""
    effector = arm.RigidTendonArm26(
        arm.RigidTendonHillMuscle(min_activation=0.01), arm.TwoJointSkeleton(m1=2.0, viscosity=0.1), timestep=0.02
    )
    return tasks.RandomTarget(
        effector,
        max_ep_duration=1.0,
        target_onset=(0.1, 0.2),
        bump_duration=(0.1, 0.2),
        min_delay=0.04,
        n_directions=4,
        vision_delay=0.04,
        vision_noise=0.01,
        force_field="curl",
        field_strength=5.0,
    )


def multitask() -> tasks.MultiTask:
    """Two rules in coarse bins."""
    return tasks.MultiTask([tasks.MultiTask.RULES[0], tasks.MultiTask.RULES[5]], bin_size=75, num_targets=8)


def untrained() -> list[tuple[str, Any, Any]]:
    """Every other task with every other network, and the other muscles."""
    small: list[tuple[str, Any, Any]] = [
        ("EIRNN", tasks.ChaoticDelayedMatching(), networks.EIRNN(5)),
        ("ChaoticRateRNN", tasks.ContextualIntegration(), networks.ChaoticRateRNN(3)),
        ("ChaoticVanillaRNN", tasks.CyclingMemory(), networks.ChaoticVanillaRNN(3)),
        ("LeakyRNN", tasks.DelayedDiscrimination(), networks.LeakyRNN(3)),
        ("LowRankRNN", tasks.PathIntegration(), networks.LowRankRNN(4)),
        ("NoisyGRU", tasks.PhaseCodedMemory(), networks.NoisyGRU(3)),
        ("NoisyGRULatentL2", tasks.PoissonClicks(), networks.NoisyGRULatentL2(3)),
        ("VanillaRNN", tasks.SineWaveGenerator(), networks.VanillaRNN(3)),
    ]
    relu = tasks.RandomTarget(arm.RigidTendonArm26(arm.ReluMuscle()), "snel", max_ep_duration=1.0)
    return [*small, ("ReluMuscle", relu, networks.GRU(2)), ("MujocoHillMuscle", tasks.RandomTarget(), networks.GRU(2))]


def what_it_says(run: cj.Run) -> dict[str, Any]:
    """What a run must say of itself wherever it is loaded."""
    out = run.rollout("test")
    return {
        "name": run.name,
        "weights": digest(run.network.state_dict()),
        "trials": run.trials("all").digest(),
        "rollout": digest({"latents": out.latents, "outputs": out.outputs}),
        "metrics": run.metrics,
        "looks": len(run.history),
    }


def what_they_say(points: Any, arrays: Iterable[str], record: Iterable[str], cycle: Iterable[str]) -> dict[str, Any]:
    """Hashes of the named arrays, and all else, of fixed points."""
    texts = ("kind", "certificate")
    return {
        "arrays": {name: digest({name: getattr(points, name)}) for name in arrays if name not in texts},
        **{name: [str(text) for text in getattr(points, name)] for name in texts},
        "flow": points.flow,
        "dt": points.dt,
        "cycles": [{name: digest({name: getattr(c, name)}) for name in cycle} for c in points.cycles],
        "record": {name: json.loads(json.dumps(getattr(points.record, name))) for name in record},
    }
