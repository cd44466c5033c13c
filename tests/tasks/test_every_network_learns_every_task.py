"""The smoke table: each kind of network, 120 gradient steps on each task: gradients finite, held-out loss lower."""

import math

import pytest
import torch

from conjugacy import networks, tasks
from conjugacy.networks import Network
from conjugacy.runs import rollout as simulate
from conjugacy.tasks.task import input_size, output_size
from conjugacy.training.scores import activity_loss

pytestmark = pytest.mark.slow

# short trials: the table has 110 entries
TASKS = {
    "NBitFlipFlop": lambda: tasks.NBitFlipFlop(n=2, n_timesteps=30, switch_prob=0.1),
    "ChaoticDelayedMatching": lambda: tasks.ChaoticDelayedMatching(cue=0.1, delay=0.05, response=0.1, dt=0.02),
    "ContextualIntegration": lambda: tasks.ContextualIntegration(duration=0.3, dt=0.02),
    "CyclingMemory": lambda: tasks.CyclingMemory(delay=0.1, duration=0.5, dt=0.04),
    "DelayedDiscrimination": lambda: tasks.DelayedDiscrimination(delay=0.1, dt=0.05),
    "MultiTask": lambda: tasks.MultiTask(),
    "PathIntegration": lambda: tasks.PathIntegration(duration=1.0),
    "PhaseCodedMemory": lambda: tasks.PhaseCodedMemory(dt=0.02),
    "PoissonClicks": lambda: tasks.PoissonClicks(duration=(0.1, 0.3), dt=0.02),
    "SineWaveGenerator": lambda: tasks.SineWaveGenerator(duration=0.5),
}
NETWORKS = {
    "GRU": lambda: networks.GRU(12),
    "NoisyGRU": lambda: networks.NoisyGRU(12),
    "NoisyGRULatentL2": lambda: networks.NoisyGRULatentL2(12, l2_weight=1e-5),
    "VanillaRNN": lambda: networks.VanillaRNN(12),
    "ChaoticVanillaRNN": lambda: networks.ChaoticVanillaRNN(12),
    "LSTM": lambda: networks.LSTM(12),
    "LeakyRNN": lambda: networks.LeakyRNN(12),
    "LowRankRNN": lambda: networks.LowRankRNN(12),
    "ChaoticRateRNN": lambda: networks.ChaoticRateRNN(12),
    "EIRNN": lambda: networks.EIRNN(12),
    "NODE": lambda: networks.NODE(4, 2, 16),
}
STEPS = 120


def test_the_table_holds_every_task_and_network_that_needs_no_plant():
    without = {"Task", "RandomTarget", "GymnasiumTask"}
    assert set(TASKS) == {n for n in tasks.__all__ if isinstance(getattr(tasks, n), type)} - without
    kinds = {n for n in networks.__all__ if isinstance(getattr(networks, n), type)} - {"Network", "CellNetwork"}
    assert set(NETWORKS) == kinds and all(issubclass(getattr(networks, n), Network) for n in kinds)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", TASKS)
def test_a_few_steps_lower_the_loss(name, kind):
    task, network = TASKS[name](), NETWORKS[kind]()
    network.init_model(input_size(task), output_size(task), seed=0)
    held_out = task.trials(200, 0)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)

    def loss(which, noise: bool | torch.Generator = False):
        out = simulate.rollout(network, task, which, noise=noise)
        return task.loss(out, which) + activity_loss(network, out)

    with torch.no_grad():
        first = float(loss(held_out))
    network.train()
    for step in range(STEPS):
        optimizer.zero_grad()
        loss(task.trials(32, 1 + step), torch.Generator().manual_seed(step)).backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        assert gradients and all(bool(torch.isfinite(g).all()) for g in gradients)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    network.eval()
    with torch.no_grad():
        last = float(loss(held_out))
    print(f"{name:24s} {kind:18s} {first:.4f} -> {last:.4f}  {last / first:.3f}")
    assert math.isfinite(last) and last < 0.98 * first
