"""Training: our own recipe, and modules for an unmodified Lightning Trainer."""

from conjugacy._lazy import higher
from conjugacy.training.dimension_curve import DimensionCurve, latent_dimension
from conjugacy.training.recipe import Recipe
from conjugacy.training.scores import evaluate, masked_r2
from conjugacy.training.train import train

__all__ = [
    "DimensionCurve",
    "Recipe",
    "TaskDataModule",
    "TaskTrainedWrapper",
    "evaluate",
    "latent_dimension",
    "masked_r2",
    "train",
    "train_population",
]


def __getattr__(name: str):
    # Lightning takes seconds to import: only those who use it pay
    if name == "TaskDataModule":
        from conjugacy.training.lightning.data_module import TaskDataModule

        return TaskDataModule
    if name == "TaskTrainedWrapper":
        from conjugacy.training.lightning.wrapper import TaskTrainedWrapper

        return TaskTrainedWrapper
    if name == "train_population":
        return higher("populations.population", "train_population")
    raise AttributeError(f"module 'conjugacy.training' has no attribute {name!r}")
