"""Pickles of the notebook are read without running anything that is in them."""

import pickle
import struct

import numpy as np
import pytest

import conjugacy as cj
from conjugacy.networks import Network
from conjugacy.training.lightning.data_module import TaskDataModule
from conjugacy.training.lightning.wrapper import TaskTrainedWrapper, rebuild_wrapper
from ctd.comparison.analysis.tt.unpickle import read_pickle


class Mine(cj.networks.GRU):
    pass


@pytest.fixture(scope="module")
def wrapper():
    wrapper = TaskTrainedWrapper(task_env=cj.tasks.NBitFlipFlop(n=1, n_timesteps=20))
    wrapper.set_model(cj.networks.GRU(3))
    return wrapper


def written(tmp_path, data):
    (tmp_path / "model.pkl").write_bytes(data)
    return tmp_path / "model.pkl"


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_what_the_notebook_writes_is_read(wrapper, tmp_path, protocol):
    back = read_pickle(written(tmp_path, pickle.dumps(wrapper, protocol)), TaskTrainedWrapper)
    assert all((a == b).all() for a, b in zip(back.model.parameters(), wrapper.model.parameters()))
    module = TaskDataModule(cj.tasks.NBitFlipFlop(n=1, n_timesteps=20), n_samples=10)
    back = read_pickle(written(tmp_path, pickle.dumps(module, protocol)), TaskDataModule)
    assert back.n_samples == 10 and back.task.n == 1


def test_classes_of_ones_own_are_given_not_imported(tmp_path):
    wrapper = TaskTrainedWrapper(model=Mine(3))
    path = written(tmp_path, pickle.dumps(wrapper))
    with pytest.raises(pickle.UnpicklingError, match=r"model\.pkl: refused to load .*Mine: .* pass classes=\[Mine\]"):
        read_pickle(path, TaskTrainedWrapper)
    assert type(read_pickle(path, TaskTrainedWrapper, [Mine]).model) is Mine


def attack(*operations):
    return b"\x80\x04" + b"".join(operations) + b"."


def name(module, attribute):
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


OURS = name("conjugacy.training.lightning.wrapper", "rebuild_wrapper")


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


@pytest.mark.parametrize(
    "program",
    [
        attack(name("os", "system"), text("true"), b"\x85R"),
        attack(OURS, b"}", text("__defaults__"), b"N\x85", b"sb"),  # BUILD sets a function's defaults
        attack(OURS, b"(", text("a"), b"\x85", b"o"),
        attack(b"(", text("a"), b"iconjugacy.training.lightning.wrapper\nrebuild_wrapper\n"),
        attack(OURS, b")\x81"),  # NEWOBJ
        attack(OURS, b")}\x92"),
        attack(b"\x82\x01"),  # an extension
        attack(b"Pos.system\n"),  # a persistent name
        attack(name("builtins", "eval"), text("1"), b"\x85R"),
        attack(name("conjugacy.training.lightning.wrapper", "rebuild_wrapper.__globals__")),
        attack(OURS, text("{}"), b"\x85", b"R", b")", b"R"),  # a call of what a call returns
    ],
)
def test_nothing_else_is_run_and_nothing_is_changed(tmp_path, program):
    before = rebuild_wrapper.__defaults__, dict(vars(rebuild_wrapper))
    with pytest.raises(pickle.UnpicklingError, match=r"model\.pkl: ") as caught:
        read_pickle(written(tmp_path, program), TaskTrainedWrapper, [Mine, Network])
    assert "\n" not in str(caught.value)
    assert (rebuild_wrapper.__defaults__, dict(vars(rebuild_wrapper))) == before


def test_changed_pickles_are_named_or_read(wrapper, tmp_path):
    data, rng = pickle.dumps(wrapper), np.random.default_rng(0)
    for k in range(300):
        changed = bytearray(data)
        at = int(rng.integers(len(data))) if k % 2 else int(rng.integers(min(len(data), 600)))
        changed[at] = int(rng.integers(256))
        if k % 5 == 0:
            changed = changed[:at]
        path = written(tmp_path, bytes(changed))
        try:
            read_pickle(path, TaskTrainedWrapper)
        except (pickle.UnpicklingError, TypeError) as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
