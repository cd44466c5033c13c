"""The smoke table: each kind of network, 120 gradient steps on each task: gradients finite, held-out loss lower."""

import math

import pytest
import torch

from conjugacy import networks, tasks
from conjugacy.runs import rollout as simulate
from conjugacy.tasks.task import input_size, output_size
from conjugacy.training.scores import activity_loss

pytestmark = pytest.mark.slow

# all that can be learned without a plant; a new task or network is in the table as soon as it is public
TASKS = {
    name: getattr(tasks, name)
    for name in tasks.__all__
    if isinstance(getattr(tasks, name), type) and name not in ("Task", "RandomTarget", "GymnasiumTask")
}
NETWORKS = {
    name: getattr(networks, name)
    for name in networks.__all__
    if isinstance(getattr(networks, name), type) and name not in ("Network", "CellNetwork")
}
STEPS = 120


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", TASKS)
def test_a_few_steps_lower_the_loss(name, kind):
    task, network = getattr(TASKS[name], "small", TASKS[name])(), NETWORKS[kind].small()
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
