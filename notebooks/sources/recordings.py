# %% [markdown]
# # I have recordings
#
# From spikes to an answer, on data whose truth is known: the spikes are drawn from a trained network, so you can see what the analysis
# gets right. Put your own spike times, counts or NWB file in their place (docs/recordings.md).

# %%
import conjugacy as cj

quick = False  # True: everything trains for seconds only, to see whether the notebook runs
steps = {"steps": 20} if quick else {}

# %% [markdown]
# ## The animal
#
# Sixty units see the states of a network that does the flip-flop, and spike at ten times a second on average.

# %%
task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=200)
animal = cj.train(task, cj.networks.GRU(latent_size=32), seed=0, **steps)
recording = cj.simulate_spikes(animal, n_units=60, n_trials=100, mean_rate=10, seed=0)
recording

# %% [markdown]
# ## From spikes to states
#
# What you decide here changes every number that follows: bins, smoothing, averages. Each step is kept with the data.

# %%
states = recording.smooth(0.05)
print(states.provenance)

# %% [markdown]
# ## Beside networks
#
# Two candidates: one that learned the task, and one that did not. Noise through the same filter stands beside both: a score that
# noise reaches says nothing.

# %%
trained = cj.train(task, cj.networks.GRU(latent_size=32), seed=1, **steps)
untrained = cj.train(task, cj.networks.GRU(latent_size=32), seed=2, steps=1)
comparison = cj.compare(
    [states, trained, untrained],
    [cj.similarity.get_measure("dsa", rank=4, n_delays=5)],
    names=["recording", "trained", "untrained"],
    n_trials=40 if quick else 100,
    n_resamples=20 if quick else 100,
    seed=0,
)
comparison.table()

# %%
cj.plots.forest(comparison)

# %% [markdown]
# *Which candidate is nearer? Is it nearer than noise? Go back, smooth with 0.02 and with 0.1 instead, and see whether the order stays:
# an answer that hangs on the filter is none.*
#
# ## What can be read from it?

# %%
import numpy as np

target = np.asarray(recording.truth.latents)[:, :, :2]
print("held-out R2 of two units of the network, from spikes:", cj.recordings.decode(states, target).r2.round(2))
