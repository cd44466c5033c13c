# %% [markdown]
# # Comparing networks
#
# Two networks learn the same task. Do they also compute the same thing? In this notebook you train them, look at how their
# states move, find where they rest, and put numbers on how alike they are, each beside what chance would give.
# At the end you ask for the answer in words, and decide whether you believe it.
#
# Cells that begin with `# your turn` are yours. The cell after each says whether you are there.

# %%
import conjugacy as cj

quick = False  # True: everything trains for seconds only, to see whether the notebook runs
steps = {"steps": 20} if quick else {}

# %% [markdown]
# ## 1. The task
#
# A flip-flop has to remember. Short pulses of +1 or -1 come in on each channel, and the output of that channel has to stay at the
# sign of its last pulse until the next one comes. With two channels there are four things to remember.
#
# *Before you go on: how would you build a system of equations that does this?*

# %%
task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=200)
gru = cj.train(task, cj.networks.GRU(latent_size=32), seed=0, **steps)

# %%
cj.plots.trial_io(gru, num_trials=2)

# %% [markdown]
# ## 2. A second network
#
# Train a network of another kind on the same task: a neural ODE with three units. It is there under `cj.networks.NODE`.

# %% answer
# hint: cj.train takes a task, a network and a seed, as above; NODE(latent_size=3, num_layers=2, layer_hidden_size=32)
node = cj.train(task, cj.networks.NODE(latent_size=3, num_layers=2, layer_hidden_size=32), seed=0, **steps)

# %%
right = isinstance(node, cj.Run) and type(node.network).__name__ == "NODE"
print("right" if right else "not yet: node should be what cj.train returns for a NODE")

# %% [markdown]
# Has each learned the task? Never compare networks that have not: they may agree because both do nothing.

# %%
cj.plots.training_curves([gru, node])

# %% [markdown]
# ## 3. States that move
#
# The 32 units of the GRU move together in few dimensions. *How many places do you see where the lines meet? How many did you expect?*

# %%
cj.plots.latents_3d([gru, node], num_trials=10)

# %% [markdown]
# ## 4. Where they rest
#
# A fixed point is a state that the network does not leave while no pulse comes. Those that pull states in are memories; those that
# pull in along some directions and push out along others are saddles, and lie between memories.

# %% answer
# hint: cj.fixed_points takes a run and the input that is held, here [0, 0]; give it a seed
points = cj.fixed_points(gru, inputs=[0, 0], seed=0)

# %%
right = isinstance(points, cj.FixedPoints)
print("right: " + points.summary() if right else "not yet: points should be what cj.fixed_points returns")

# %%
cj.plots.portrait_graph(points.portrait())

# %% [markdown]
# Every point comes with a certificate: a proof that exactly one fixed point lies there. Whether these are *all* is another
# question; the audit says what speaks for it.

# %%
points.audit()

# %% [markdown]
# ## 5. How alike are they?
#
# Each of these measures asks something else: whether the states of one can be read from those of the other (`state_r2`), whether
# the shapes agree after a rotation (`procrustes`), whether the same trials lie close together (`cka`), whether the states move by the
# same rules (`dsa`). A number alone says little. Beside each stand its interval over trials, and what unrelated or untrained networks get.

# %%
comparison = cj.compare(
    [gru, node],
    ["state_r2", "procrustes", "cka", "dsa"],
    null="auto",
    n_trials=30 if quick else 250,
    n_resamples=20 if quick else 200,
    n_surrogates=5 if quick else 20,
    seed=0,
)
comparison.table()

# %%
cj.plots.forest(comparison)

# %% [markdown]
# *Which measures say "alike"? Which would say so of an untrained network, too? What does it mean that they disagree?*
#
# ## 6. What a measure cannot see
#
# Here are pairs of systems whose relation is known, since they were made so. Green: the measure does right. Find a change that
# `cka` does not see and `dsa` does.

# %%
cj.plots.known_answers(cj.similarity.check_measures(["state_r2", "cka", "dsa"], seed=0))

# %% [markdown]
# ## 7. The answer in words
#
# The verdict goes through five levels. "Same" and "different" are tests; what they leave open is "cannot tell", and it says what would
# be needed. *Read it, and then write down what you would tell your supervisor.*

# %% answer
# hint: a comparison has a method of that name
verdict = comparison.verdict()

# %%
print(verdict)

# %% [markdown]
# ## 8. Further
#
# - Train a second GRU with another seed. Is it nearer to the first than the neural ODE is?
# - Train a network that has to hold three bits, and one that holds two of the three. What is forgotten?
# - Train for 20 steps only. What do the measures say now, and why should nobody print it?
