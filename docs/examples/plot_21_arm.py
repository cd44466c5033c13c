"""
A network that moves an arm
===========================

Two joints, six muscles, a target that appears: the network learns to reach. Paths of the hand, a colour for each
direction.
"""

import conjugacy as cj

reach = cj.train(
    cj.tasks.RandomTarget(max_ep_duration=1.0),
    cj.networks.GRU(latent_size=32),
    seed=0,
    steps=250,
    out="runs/reach",
    progress=False,
)

figure = cj.plots.hand_paths(reach, num_trials=12)

# %%
# How fast does the hand move?
speed = cj.plots.hand_speed(reach)
