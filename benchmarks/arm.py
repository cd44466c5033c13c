"""Claim: the arm, and a network trained in closed loop with it, are faster than with MotorNet's effector.

In one run, in turns, forward and backward, in CPU seconds of one thread: the plant alone under given commands, and
whole training steps of the notebook's Section 6 (observations, GRU, readout, arm, loss on hand and commands, Adam).
MotorNet's effector is stepped in a loop over torch's GRUCell; its environment class, which adds four draws of noise a
step, is left out. MotorNet is looked for at --motornet, then where Python finds it; without it, the plain steps of
conjugacy are what the kernels are compared with.

    python benchmarks/arm.py [--motornet FOLDER] [--json PATH] [--repeats N] [--batch N] [--steps T] [--units D ...]
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import statistics
import sys
import time

import torch
from table import row

import conjugacy as cj
from conjugacy.arm import RigidTendonArm26


def motornet_effector(folder):
    if folder:
        sys.path.insert(0, folder)
    try:
        motornet = importlib.import_module("motornet")
    except ImportError:
        return None, None
    finally:
        if folder:
            sys.path.remove(folder)
    version = importlib.metadata.version("motornet") if not folder else folder.rstrip("/").rsplit("/", 1)[-1]
    return motornet.effector.RigidTendonArm26(muscle=motornet.muscle.MujocoHillMuscle()), version


class Plant:
    """The plant alone, under commands that are given."""

    def __init__(self, batch, steps):
        g = torch.Generator().manual_seed(0)
        self.q = 0.6 + torch.rand(batch, 2, generator=g)
        self.commands = (0.3 * torch.rand(steps, batch, 6, generator=g)).requires_grad_()
        self.load = torch.randn(batch, 2, generator=g)

    def ours(self, step_name):
        arm = RigidTendonArm26()
        step = getattr(arm, step_name)

        def run():
            state, loss = arm.rest(self.q), 0.0
            for u in self.commands.unbind():
                state = step(state, u, self.load)
                loss = loss + state.q.sum()
            loss.backward()

        return run

    def motornet(self, effector):
        def run():
            joint = torch.cat([self.q, torch.zeros_like(self.q)], 1)
            effector.reset(options={"batch_size": len(joint), "joint_state": joint})
            loss = 0.0
            for u in self.commands.unbind():
                effector.step(u, endpoint_load=self.load)
                loss = loss + effector.states["joint"][:, :2].sum()
            loss.backward()

        return run


class TrainingStep:
    """One step of training on the notebook's task, with the loss of the notebook."""

    def __init__(self, batch, steps, units):
        self.task = cj.tasks.RandomTarget(variant="neuromatch", max_ep_duration=steps / 100)
        self.trials = self.task.trials(batch, seed=0)
        self.units = units

    def network(self):
        network = cj.networks.GRU(self.units)
        network.init_model(17, 6, seed=0)
        return network, torch.optim.Adam(network.parameters(), lr=1e-4)

    def loss(self, hand, actions):
        return (hand - self.trials.targets).square().mean() + actions.square().mean()

    def ours(self, loop):
        network, adam = self.network()

        def run():
            r = cj.rollout(network, self.task, self.trials, rollout=loop)
            adam.zero_grad()
            self.loss(r.outputs, r.actions).backward()
            adam.step()

        return run

    def motornet(self, effector):
        network, adam = self.network()
        cell, readout, trials = network.cell, network.readout, self.trials
        muscle = effector.muscle

        def run():
            effector.reset(options={"batch_size": len(trials), "joint_state": trials.ics})
            x, hands, actions = network.init_hidden(len(trials)), [], []
            for c, load in zip(trials.inputs.unbind(1), trials.loads.unbind(1)):
                states = effector.states
                length, velocity = states["muscle"][:, 1:2] / muscle.l0_ce, states["muscle"][:, 2:3] / muscle.vmax
                seen = torch.cat([states["fingertip"], length.squeeze(1), velocity.squeeze(1), c], 1)
                x = cell(seen, x)
                actions.append(readout(x))
                effector.step(actions[-1], endpoint_load=load)
                hands.append(effector.states["fingertip"])
            adam.zero_grad()
            self.loss(torch.stack(hands, 1), torch.stack(actions, 1)).backward()
            adam.step()

        return run


def timed(ways, repeats):
    """Median CPU seconds of each way, all ways in turn."""
    times = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, run in ways.items():
            started = time.process_time()
            run()
            if turn:  # the first one compiles and fills caches
                times[name].append(time.process_time() - started)
    return {name: statistics.median(t) for name, t in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--motornet", help="folder that holds the package motornet")
    parser.add_argument("--json")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--units", type=int, nargs="+", default=[128, 32])
    args = parser.parse_args()
    torch.set_num_threads(1)
    effector, version = motornet_effector(args.motornet)
    cases = [("plant, forward and backward", Plant(args.batch, args.steps), "plain_step", "step")]
    for d in args.units:
        cases.append((f"training step, GRU-{d}", TrainingStep(args.batch, args.steps, d), "plain", "auto"))
    rows, table = [], []
    for name, case, plain, fast in cases:
        ways = {} if effector is None else {"motornet": case.motornet(effector)}
        ways |= {"conjugacy, plain": case.ours(plain), "conjugacy": case.ours(fast)}
        seconds = timed(ways, args.repeats)
        slowest = next(iter(seconds))
        label = f"{name}, batch {args.batch}, T = {args.steps}"
        ratios = {f"{way} / conjugacy": seconds[way] / seconds["conjugacy"] for way in seconds if way != "conjugacy"}
        rows.append({"case": label, **seconds, **ratios})
        table.append(row(label, slowest, seconds[slowest], seconds["conjugacy"]))
        print(
            f"{label}: "
            + ", ".join(f"{way} {1e3 * s:.0f} ms" for way, s in seconds.items())
            + "; "
            + ", ".join(f"{way} {r:.1f}" for way, r in ratios.items()),
            flush=True,
        )
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"motornet": version, "torch": torch.__version__, "rows": rows, "table": table}, f, indent=1)


if __name__ == "__main__":
    main()
