# %% [markdown]
# # I have a trained model
#
# You have a recurrent network in PyTorch: a module, its `state_dict`, a cell of your own, or only arrays of states. This notebook takes
# each of them to the same places: where does it rest, where do its orbits end, and is it like another network?

# %%
import torch

import conjugacy as cj

quick = False  # True: everything trains for seconds only, to see whether the notebook runs

# %% [markdown]
# ## A module of torch
#
# Here a `torch.nn.GRU` learns to keep the sign of the last pulse, in plain PyTorch. Put your own in its place.

# %%
generator = torch.Generator().manual_seed(0)


def pulses(n, length=60):
    """Rare pulses of +1 and -1 (trial, time, 1), and the sign of the last one."""
    u = (torch.rand(n, length, 1, generator=generator) < 0.06).float()
    u = u * (2.0 * (torch.rand(n, length, 1, generator=generator) < 0.5) - 1.0)
    last = torch.zeros(n, 1)
    target = []
    for t in range(length):
        last = torch.where(u[:, t] != 0, u[:, t], last)
        target.append(last)
    return u, torch.stack(target, 1)


torch.manual_seed(0)
model = torch.nn.GRU(1, 16, batch_first=True)
readout = torch.nn.Linear(16, 1)
optimizer = torch.optim.Adam([*model.parameters(), *readout.parameters()], 1e-2)
for _ in range(20 if quick else 400):
    u, y = pulses(64)
    loss = ((readout(model(u)[0]) - y) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loss {loss.item():.3f}")

# %% [markdown]
# ## Where does it rest?
#
# Give the module, states that it visits, and the input that is held. Two memories should be there, and a saddle between them.

# %%
u, y = pulses(100)
with torch.no_grad():
    states = model(u)[0]
points = cj.fixed_points(model, x0=states.reshape(-1, 16), inputs=[0.0], seed=0)
print(points.summary())

# %%
points.table()

# %%
cj.plots.portrait_graph(points.portrait())

# %% [markdown]
# The same from a `state_dict` that came as a file, or from a function `step(x, u)` (docs/your_own_network.md).
#
# ## Is it like another one?
#
# States alone are enough for measures that pair trials: both networks hear the same inputs.

# %%
torch.manual_seed(1)
other = torch.nn.RNN(1, 16, batch_first=True)
with torch.no_grad():
    theirs = other(u)[0]
systems = [
    cj.System.from_arrays("my GRU", states, u, dt=0.01),
    cj.System.from_arrays("an untrained RNN", theirs, u, dt=0.01),
]
comparison = cj.compare(systems, ["state_r2", "cka"], null="auto", n_surrogates=5 if quick else 20, seed=0)
comparison.table()

# %%
cj.plots.forest(comparison)
