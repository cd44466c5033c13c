"""Every call that the seed notebook makes in its Sections 2 to 5, with fewer trials and epochs, in our own words."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

N_TRIALS, N_STEPS = 50, 60


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def env():
    from ctd.task_modeling.task_env.task_env import NBitFlipFlop

    return NBitFlipFlop(n=3, n_timesteps=N_STEPS, switch_prob=0.015, noise=0.15)


@pytest.fixture(scope="module")
def analyses(env, home):
    from ctd.comparison.analysis.tt.tt import Analysis_TT
    from ctd.task_modeling.datamodule.task_datamodule import TaskDataModule
    from ctd.task_modeling.model.node import NODE
    from ctd.task_modeling.model.rnn import GRU_RNN
    from ctd.task_modeling.task_wrapper.task_wrapper import TaskTrainedWrapper

    datamodule = TaskDataModule(env, n_samples=N_TRIALS, batch_size=N_TRIALS)
    made = []
    for name, rnn, decay in (
        ("models_GRU_128", GRU_RNN(latent_size=16), 1e-8),
        ("models_NODE_3", NODE(latent_size=3, num_layers=3, layer_hidden_size=8), 1e-10),
    ):
        wrapper = TaskTrainedWrapper(learning_rate=1e-3, weight_decay=decay)
        rnn.init_model(input_size=env.observation_space.shape[0], output_size=env.action_space.shape[0])
        wrapper.set_environment(env)
        wrapper.set_model(rnn)
        before = [p.clone() for p in rnn.parameters()]
        fit(wrapper, datamodule, home, epochs=3)
        assert any(not torch.equal(p, q) for p, q in zip(rnn.parameters(), before))
        folder = home / name
        folder.mkdir()
        for file, thing in (("model.pkl", wrapper), ("datamodule_sim.pkl", datamodule)):
            with open(folder / file, "wb") as f:
                pickle.dump(thing, f)
        made.append(Analysis_TT(run_name=name, filepath=str(home) + f"/{name}/"))
    return made


def fit(wrapper, datamodule, folder, epochs):
    from pytorch_lightning import Trainer

    # Lightning warns about the machine, seeds Python's generator in its progress and touches torch's in its checks
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        trainer = Trainer(
            max_epochs=epochs, enable_progress_bar=False, default_root_dir=folder, accelerator="cpu", logger=False
        )
        trainer.fit(wrapper, datamodule)
    return trainer


def test_the_task_is_drawn(env):
    assert len(env.render().axes) == 4
    panels = [ax for ax in env.render_3d(n_trials=6).axes if ax.name == "3d"]
    assert len(panels) == 6


def test_shapes_are_those_that_the_notebook_prints(analyses):
    n_val = N_TRIALS // 5
    for analysis, d in zip(analyses, (16, 3)):
        assert analysis.get_latents().shape == torch.Size([N_TRIALS, N_STEPS, d])
        assert analysis.get_latents(phase="train").shape == torch.Size([N_TRIALS - n_val, N_STEPS, d])
        assert analysis.get_latents(phase="val").shape == torch.Size([n_val, N_STEPS, d])
        assert analysis.get_inputs(phase="val").shape == (n_val, N_STEPS, 3)
        assert not analysis.get_latents().requires_grad


def test_both_names_of_the_outputs_work_and_agree_between_calls(analyses):
    one, other = analyses[0].get_model_output(), analyses[0].get_model_outputs()
    assert set(one) == {"controlled", "latents", "actions", "states", "joints"}
    assert torch.equal(one["controlled"], other["controlled"])
    assert torch.equal(one["latents"], analyses[0].get_latents())
    ics, inputs, targets = analyses[0].get_model_inputs(phase="val")
    assert ics.shape[0] == inputs.shape[0] == targets.shape[0] == N_TRIALS // 5


def test_the_two_networks_saw_the_same_trials(analyses):
    assert torch.equal(analyses[0].get_inputs(), analyses[1].get_inputs())
    assert not torch.equal(analyses[0].get_true_inputs(), analyses[0].get_inputs())


def test_figures_and_scree_values(analyses):
    for analysis, d in zip(analyses, (16, 3)):
        assert len(analysis.plot_trial_io(num_trials=2).axes) == 8
        ratios = analysis.plot_scree()
        assert ratios.shape == (min(d, 10),) and np.all(np.diff(ratios) <= 0) and 0 < ratios.sum() <= 1 + 1e-9
        assert analysis.plot_trial_latents(num_trials=3).axes[0].name == "3d"
        assert analysis.get_latents_pca(num_PCs=3).shape == (N_TRIALS, N_STEPS, 3)


def test_regression_as_the_notebook_does_it_equals_the_comparison(analyses):
    from ctd.comparison.comparison import Comparison

    def flat(analysis, phase):
        return analysis.get_latents(phase=phase).detach().numpy().reshape(-1, analysis.get_latents().shape[-1])

    source, target = analyses
    pca_s, pca_t = PCA().fit(flat(source, "train")), PCA().fit(flat(target, "train"))
    reg = LinearRegression().fit(pca_s.transform(flat(source, "train")), pca_t.transform(flat(target, "train")))
    preds = reg.predict(pca_s.transform(flat(source, "val")))
    r2 = r2_score(pca_t.transform(flat(target, "val")), preds, multioutput="variance_weighted")

    comp = Comparison()
    comp.load_analysis(source, reference_analysis=True)
    comp.load_analysis(target)
    row = comp.table().loc[("state_r2", source.name, target.name)]
    assert row["a -> b"] == pytest.approx(r2, abs=1e-4)
    fig = comp.plot_trials_3d_reference(num_trials=2)
    assert [line.get_label() for line in fig.axes[1].lines] == [f"{source.name} (reference)", target.name]
    with pytest.raises(ValueError, match="is the reference already"):
        comp.load_analysis(target, reference_analysis=True)


def test_the_pickles_are_read_by_plain_pickle_too(analyses, home):
    with open(home / "models_GRU_128" / "model.pkl", "rb") as f:
        wrapper = pickle.load(f)
    inputs = analyses[0].get_inputs("val")
    out = wrapper(torch.zeros(len(inputs), 0), inputs)
    assert torch.equal(out["controlled"], analyses[0].get_model_outputs("val")["controlled"])


class Harmful:
    def __reduce__(self):
        return print, ("a stranger's code ran",)


def test_a_pickle_that_asks_for_anything_else_is_refused(home, capsys):
    from ctd.comparison.analysis.tt.tt import Analysis_TT

    folder = home / "stranger"
    folder.mkdir()
    (folder / "model.pkl").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(pickle.UnpicklingError, match=r"model\.pkl: refused to load builtins\.print: only TaskTrained"):
        Analysis_TT(run_name="x", filepath=folder)
    assert "stranger's code" not in capsys.readouterr().out


def test_cut_and_missing_and_mixed_up_pickles_are_named(home, analyses):
    from ctd.comparison.analysis.tt.tt import Analysis_TT

    with pytest.raises(FileNotFoundError, match=r"model\.pkl does not exist\. The notebook joins HOME_DIR"):
        Analysis_TT(run_name="x", filepath=str(home) + "models_GRU_128/")
    whole = (home / "models_GRU_128" / "model.pkl").read_bytes()
    folder = home / "cut"
    folder.mkdir()
    (folder / "model.pkl").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(pickle.UnpicklingError, match=r"model\.pkl: not a whole pickle"):
        Analysis_TT(run_name="x", filepath=folder)
    (folder / "model.pkl").write_bytes((home / "models_GRU_128" / "datamodule_sim.pkl").read_bytes())
    with pytest.raises(TypeError, match=r"model\.pkl: expected a TaskTrainedWrapper, got TaskDataModule\."):
        Analysis_TT(run_name="x", filepath=folder)


def test_a_pickle_whose_network_does_not_fit_its_task_is_named(env, tmp_path):
    from ctd.comparison.analysis.tt.unpickle import read_pickle
    from ctd.task_modeling.model.rnn import GRU_RNN
    from ctd.task_modeling.task_wrapper.task_wrapper import TaskTrainedWrapper

    wrapper, network = TaskTrainedWrapper(), GRU_RNN(latent_size=2)
    wrapper.set_environment(env)
    wrapper.set_model(network)
    text = f'"n": {env.n}'.encode()
    data = pickle.dumps(wrapper)
    assert data.count(text) == 1
    path = tmp_path / "model.pkl"
    path.write_bytes(data.replace(text, text[:-1] + b"1"))
    with pytest.raises(pickle.UnpicklingError, match=r"model\.pkl: not a whole pickle .*expected 1 inputs"):
        read_pickle(path, TaskTrainedWrapper)


def test_a_task_of_ones_own_is_read_when_its_class_is_named(home):
    from conjugacy.tasks import NBitFlipFlop
    from ctd.comparison.analysis.tt.unpickle import read_pickle
    from ctd.task_modeling.datamodule.task_datamodule import TaskDataModule

    class Mine(NBitFlipFlop):
        pass

    globals()["Mine"] = Mine
    Mine.__qualname__ = "Mine"
    path = home / "mine.pkl"
    module = TaskDataModule(Mine(n=1, n_timesteps=9), n_samples=10)
    path.write_bytes(pickle.dumps(module))
    with pytest.raises(pickle.UnpicklingError, match=r"refused to load .*Mine: .* pass classes=\[Mine\]"):
        read_pickle(path, TaskDataModule)
    assert type(read_pickle(path, TaskDataModule, [Mine]).task) is Mine


def test_incomplete_wrappers_say_what_they_lack(env):
    from ctd.task_modeling.datamodule.task_datamodule import TaskDataModule
    from ctd.task_modeling.model.rnn import GRU_RNN
    from ctd.task_modeling.task_wrapper.task_wrapper import TaskTrainedWrapper

    wrapper = TaskTrainedWrapper(learning_rate=1e-3, weight_decay=0.0)
    with pytest.raises(RuntimeError, match=r"call set_environment\(task\) before training\.$"):
        wrapper.parts()
    wrapper.set_environment(env)
    with pytest.raises(RuntimeError, match=r"call set_model\(network\) before training\.$"):
        wrapper.parts()
    rnn = GRU_RNN(latent_size=4)
    rnn.init_model(5, 3)
    wrapper.set_model(rnn)
    with pytest.raises(ValueError, match=r"^`model`: expected 3 inputs and 3 outputs for task 3BFF, got 5 and 3\."):
        wrapper.parts()
    with pytest.raises(ValueError, match=r"^`learning_rate`: expected a number in \(0, inf\), got 0\.$"):
        TaskTrainedWrapper(learning_rate=0, weight_decay=0)
    with pytest.raises(RuntimeError, match=r"no task yet: call set_environment\(task\)\.$"):
        TaskDataModule(n_samples=10).setup()
    with pytest.raises(ValueError, match=r"^`n_samples`: expected an integer >= 2, got 1\."):
        TaskDataModule(env, n_samples=1)


@pytest.mark.parametrize("name", ["GRU_RNN", "NoisyGRU", "NoisyGRU_RNN", "Vanilla_RNN", "DriscollRNN"])
def test_every_network_of_the_peer_has_its_counterpart(name):
    import ctd.task_modeling.model.rnn as rnn

    network = getattr(rnn, name)(latent_size=5, input_size=3, output_size=2)
    output, hidden = network(torch.zeros(4, 3), network.init_hidden(4))
    assert output.shape == (4, 2) and hidden.shape == (4, 5)


@pytest.fixture(scope="module")
def comp(analyses):
    from ctd.comparison.comparison import Comparison

    made = Comparison(comparison_tag="two")
    made.load_analysis(analyses[0], group="gru", reference_analysis=True)
    made.load_analysis(analyses[1], group="node")
    return made


def test_the_comparison_has_the_scores_of_the_peer(comp, analyses):
    matrix = comp.compare_state_r2()
    row = comp.table().loc[("state_r2", analyses[0].name, analyses[1].name)]
    assert matrix.iloc[0, 1] == pytest.approx(row["a -> b"]) and matrix.iloc[1, 0] == pytest.approx(row["b -> a"])
    both = comp.compare_to_reference_affine()
    assert list(both.columns) == ["reference -> analysis", "analysis -> reference"]
    assert both.iloc[1].tolist() == pytest.approx([row["a -> b"], row["b -> a"]])
    metrics = comp.compute_metrics(metric_list=["state_r2", "procrustes"])
    assert metrics["group"] == ["gru", "node"] and metrics["state_r2"][1] == pytest.approx(row["a -> b"])
    assert metrics["state_r2"][0] == pytest.approx(1) and metrics["procrustes"][0] == pytest.approx(0, abs=1e-6)
    assert comp.compare_procrustes().tolist() == pytest.approx(metrics["procrustes"])
    assert 0 < comp.compare_CCA().iloc[1] < np.pi / 2
    with pytest.raises(ValueError, match=r"^`metric_list`: expected one of .*, got 'co-bps'"):
        comp.compute_metrics(metric_list=["co-bps"])


def test_dsa_is_a_symmetric_matrix_of_angles(comp):
    angles = comp.compare_dynamics_DSA(n_delays=3, rank=5)
    assert angles.shape == (2, 2) and angles[0, 0] == angles[1, 1] == 0
    assert angles[0, 1] == angles[1, 0] and 0 < angles[0, 1] < np.pi


def test_the_comparison_has_the_figures_of_the_peer(comp):
    counts = {
        "plot_trials": 4,
        "plot_inputs": 4,
        "plot_trials_reference": 8,
        "plot_trials_reference_dims": 8,
        "plot_trials_controlled_reference": 6,
        "plot_trials_3d": 2,
        "visualize_stateR2": 1,
        "compare_performance": 1,
    }
    for name, n_axes in counts.items():
        assert len(getattr(comp, name)().axes) == n_axes, name
    targets = comp.plot_trials_controlled_reference().axes[0].lines[0]
    np.testing.assert_array_equal(targets.get_ydata(), comp.analyses[0].targets("val")[0, :, 0])


def test_fixed_points_by_both_names_and_both_searches(analyses):
    gru = analyses[0]
    points = gru.plot_fps(inputs=torch.zeros(3), n_inits=64, learning_rate=1e-3, max_iters=20, seed=0, q_thresh=1e-5)
    chosen = points.xstar[points.qstar < 1e-6]
    assert chosen.shape[1] == 16 and len(points.is_stable) == len(points.xstar)
    with torch.no_grad():
        x = torch.as_tensor(chosen)
        moved = gru.run.system().step(x, torch.zeros(len(x), 3).double()) - x
    assert moved.abs().max() < 1e-8
    again = gru.compute_FPs(inputs=torch.zeros(3), n_inits=64, seed=0)
    np.testing.assert_array_equal(again.xstar, points.xstar)
    ends = gru.compute_FPs(inputs=torch.zeros(3), n_inits=8, max_iters=5, method="adam")
    assert ends.xstar.shape == (8, 16) and ends.J_xstar.shape == (8, 16, 16)
    assert all(p.requires_grad for p in gru.model.parameters())


def test_regrouping_keeps_the_reference(comp):
    comp.groups[0], comp.groups[1] = "z", "a"
    reference = comp.analyses[comp.ref_ind]
    comp.regroup()
    assert comp.groups == ["a", "z"] and comp.analyses[comp.ref_ind] is reference
