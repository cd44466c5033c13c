"""
Fixed points, certified
=======================

Where does the network rest when no pulse comes? Four memories, one for each pattern of two bits, and the saddles
between them.
"""

import conjugacy as cj

task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=200)
gru = cj.train(task, cj.networks.GRU(latent_size=32), seed=0, out="runs/gru", progress=False)
analysis = cj.Analysis(gru)
points = analysis.fixed_points(inputs=[0, 0], seed=0, progress=False)

figure = cj.plots.fixed_points_3d(points, analysis.system())

# %%
# In a sentence, and one row a point:
print(points.summary())
points.table().head(9)

# %%
# Are these all? What is proven, and what is not:
points.audit()
