"""LightningModule, under the name of CtDB."""

from conjugacy.training.lightning.wrapper import TaskTrainedWrapper

__all__ = ["TaskTrainedWrapper"]
