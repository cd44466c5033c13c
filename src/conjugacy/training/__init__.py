"""Training: our own recipe, and modules for an unmodified Lightning Trainer."""

from conjugacy.training.population import train_population
from conjugacy.training.recipe import Recipe
from conjugacy.training.scores import evaluate, masked_r2
from conjugacy.training.train import train

__all__ = ["Recipe", "TaskDataModule", "TaskTrainedWrapper", "evaluate", "masked_r2", "train", "train_population"]


def __getattr__(name: str):
    # Lightning takes seconds to import: only those who use it pay
    if name == "TaskDataModule":
        from conjugacy.training.data_module import TaskDataModule

        return TaskDataModule
    if name == "TaskTrainedWrapper":
        from conjugacy.training.lightning_module import TaskTrainedWrapper

        return TaskTrainedWrapper
    raise AttributeError(f"module 'conjugacy.training' has no attribute {name!r}")
