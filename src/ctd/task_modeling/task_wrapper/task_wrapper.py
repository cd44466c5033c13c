"""LightningModule, under the name of CtDB."""

from conjugacy.training.lightning_module import TaskTrainedWrapper

__all__ = ["TaskTrainedWrapper"]
