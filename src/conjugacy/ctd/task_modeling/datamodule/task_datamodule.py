"""Data module, under the name of CtDB."""

from conjugacy.training.lightning.data_module import TaskDataModule

__all__ = ["TaskDataModule"]
