"""Figures. Every function returns a matplotlib Figure, which a notebook shows once; nothing is saved."""

from conjugacy._lazy import lazy

_PUBLIC = {
    "latents_3d": "latents",
    "scree": "latents",
    "trial_io": "_trial_io",
    "affine_overlay": "overlay",
    "similarity_matrix": "similarity",
    "similarity_map": "similarity",
    "parameter_surface": "similarity",
    "known_answers": "similarity",
    "forest": "_forest",
    "conjugacy": "_conjugacy",
    "group_map": "_groups",
    "class_counts": "_groups",
    "context_triangle": "_context",
    "fixed_points_3d": "fixed_points",
    "spectrum": "fixed_points",
    "portrait_graph": "_portrait_graph",
    "hits": "fixed_points",
    "trajectories_by_epoch": "epochs",
    "shared_subspaces": "epochs",
    "branches": "epochs",
    "hand_paths": "reaching",
    "hand_speed": "reaching",
    "muscle_commands": "reaching",
    "latents_at_cue": "reaching",
    "rest_map": "rest_points",
    "generalisation": "_generalisation",
    "animate_arm": "arm",
    "training_curves": "_training",
    "style": "_style",
}

__getattr__, __dir__, __all__ = lazy(__name__, _PUBLIC)
