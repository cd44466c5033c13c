"""
What a measure cannot see
=========================

Pairs of systems whose relation is true by construction: turned, mirrored, stretched, seen through noise, or with other
dynamics. A measure that does not see a change is blind to it, and its value says nothing about it.
"""

import conjugacy as cj

table = cj.similarity.check_measures(["state_r2", "procrustes", "cka", "dsa", "spectrum_w2"], seed=0)
figure = cj.plots.known_answers(table)
