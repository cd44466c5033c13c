"""Arguments and members under their old names: they work, warn, and are read from files in silence."""

import copy
import pickle

import pytest

from conjugacy import networks, tasks
from conjugacy._config import build, describe
from conjugacy._renamed import ARGUMENTS, member, renewed
from conjugacy.cli.old_names import renewed_flags
from conjugacy.tasks import NBitFlipFlop, RandomTarget
from conjugacy.training.scores import evaluate


def test_an_old_argument_means_the_new_one_and_warns_at_the_callers_line():
    with pytest.warns(DeprecationWarning, match="^`taught` is called `distilled` today; write `distilled`.$") as caught:
        task = NBitFlipFlop(n=2, taught=True)
    assert task.distilled is True and caught[0].filename == __file__
    with pytest.raises(TypeError, match="`taught`: expected once, got `taught` and `distilled`"):
        NBitFlipFlop(taught=True, distilled=False)
    with pytest.raises(TypeError, match="`distilled`: expected True or False, got 'False'"):
        NBitFlipFlop(distilled="False")


def test_an_old_attribute_reads_and_sets_the_new_one():
    task = NBitFlipFlop()
    with pytest.warns(DeprecationWarning, match="`distilled`"):
        assert task.taught is False
    with pytest.warns(DeprecationWarning, match="`distilled`"):
        task.taught = True
    assert task.distilled and copy.copy(task).distilled


def test_pickles_and_configs_of_old_are_read_in_silence():
    old = NBitFlipFlop(n=2)
    state = dict(vars(old))
    state["taught"] = state.pop("distilled") or True
    new = NBitFlipFlop.__new__(NBitFlipFlop)
    new.__setstate__(state)
    assert new.distilled and pickle.loads(pickle.dumps(new)).distilled
    config = describe(old)
    config["args"]["taught"] = config["args"].pop("distilled")
    assert describe(build("task", config, [NBitFlipFlop])) == describe(old) == renewed(config)
    yaml = {"task": {"class_path": "conjugacy.tasks.NBitFlipFlop", "init_args": {"n": 1, "taught": True}}}
    assert renewed(yaml)["task"]["init_args"] == {"n": 1, "distilled": True}


def test_command_lines_and_their_files_may_have_old_names(tmp_path):
    with pytest.warns(UserWarning, match="`--task.taught` is called `--task.distilled` today"):
        assert renewed_flags(["--task.taught=true", "--out", "x"]) == ["--task.distilled=true", "--out", "x"]
    file = tmp_path / "c.yaml"
    file.write_text("task: {class_path: NBitFlipFlop, init_args: {taught: true}}")
    assert '"distilled": true' in renewed_flags(["--config", str(file)])[1]
    file.write_text("task: {class_path: NBitFlipFlop, init_args: {n: 2}}")
    assert renewed_flags([f"--config={file}"]) == [f"--config={file}"]


def test_every_new_name_is_an_argument_and_no_old_one_is():
    classes = {**vars(tasks), **vars(networks)}
    for name, new_names in ARGUMENTS.items():
        args = describe(classes[name]())["args"]
        assert set(new_names.values()) <= set(args) and not set(new_names) & set(args)


def test_a_task_with_merits_is_scored_with_a_warning():
    class Mine(NBitFlipFlop):
        def merits(self, rollout, trials):
            return {"size": float(rollout.outputs.abs().mean())}

    task, network = Mine(n=2, n_timesteps=10), networks.GRU(3)
    network.init_model(2, 2)
    with pytest.warns(DeprecationWarning, match=r"Mine.merits: this member is called `metrics` today; rename it"):
        assert evaluate(network, task, task.trials(3, 0))["size"] > 0
    assert member(NBitFlipFlop(), "metrics", "merits") is None
    reach = RandomTarget()
    assert member(reach, "metrics", "merits") == reach.metrics
