"""The fifteen tasks, under the module name of CtDB's version of 2024."""

from conjugacy.ctd.task_modeling.task_env.multitask import MultiTask, MultiTaskWrapper

__all__ = ["MultiTask", "MultiTaskWrapper"]
