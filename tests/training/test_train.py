import math
import re

import pytest
import torch

import conjugacy as cj
from conjugacy import _progress
from conjugacy.training import checkpoint
from conjugacy.training import train as train_function
from conjugacy.training.recipe import Recipe
from conjugacy.training.scores import masked_r2
from conjugacy.training.train import begin, fit

QUICK = {"steps": 12, "batch_size": 8, "eval_every": 4, "progress": False}


def weights(run):
    return list(run.network.state_dict().values())


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(weights(a), weights(b)))


def test_same_seed_same_weights_other_seed_others(small_task, small_runs):
    again = cj.train(small_task, cj.networks.GRU(7), seed=1, **QUICK)
    assert same(again, small_runs[0])
    drop = {"seconds"}
    assert {k: v for k, v in again.metrics.items() if k not in drop} == {
        k: v for k, v in small_runs[0].metrics.items() if k not in drop
    }
    assert not same(cj.train(small_task, cj.networks.GRU(7), seed=2, **QUICK), small_runs[0])


def test_the_network_passed_in_stays_as_it_is(small_task):
    network = cj.networks.GRU(7)
    cj.train(small_task, network, **QUICK)
    assert not network.input_size and not list(network.parameters())
    network.init_model(2, 2, seed=9)
    before = [p.clone() for p in network.parameters()]
    run = cj.train(small_task, network, **QUICK)
    assert all(torch.equal(p, q) for p, q in zip(network.parameters(), before))
    assert not same(run, cj.train(small_task, cj.networks.GRU(7), **QUICK))


def test_the_best_weights_on_validation_trials_are_kept(small_task):
    run = cj.train(small_task, cj.networks.NODE(3, 2, 11), seed=0, **{**QUICK, "learning_rate": 0.3, "eval_every": 1})
    assert not run.history.val_r2.is_monotonic_increasing  # otherwise this would test nothing
    kept = cj.training.evaluate(run.network, run.task, run.trials("val"))["r2"]
    assert kept == pytest.approx(run.history.val_r2.max(), abs=1e-6)


def test_it_learns_one_bit_and_stops_when_it_has():
    task = cj.tasks.NBitFlipFlop(n=1, n_timesteps=60, switch_prob=0.05, noise=0.05)
    run = cj.train(task, cj.networks.GRU(16), steps=600, progress=False, stop_accuracy=0.98, stop_r2=0.8, stop_from=0)
    assert run.metrics["stopped"] == "learned" and run.metrics["steps"] < 600
    assert run.metrics["test_accuracy"] > 0.97
    assert run.history.iloc[-1].val_accuracy >= 0.98


def test_an_interrupted_training_resumes_as_if_nothing_had_happened(small_task, small_runs, tmp_path, monkeypatch):
    out = tmp_path / "gru"
    step = train_function.__globals__["_gradient_step"]
    calls = []

    def interrupted_at_the_seventh(*args):
        calls.append(args)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setitem(train_function.__globals__, "_gradient_step", interrupted_at_the_seventh)
    half = cj.train(small_task, cj.networks.GRU(7), seed=1, out=out, **QUICK)
    assert half.metrics["stopped"] == "interrupted" and half.metrics["steps"] == 6
    assert [p.name for p in out.iterdir()] == [checkpoint.FILE]
    whole = cj.train(small_task, cj.networks.GRU(7), seed=1, out=out, **QUICK)
    assert len(calls) == 7 + 6
    assert same(whole, small_runs[0]) and whole.history.loss.tolist() == small_runs[0].history.loss.tolist()
    assert not (out / checkpoint.FILE).exists()
    returned = cj.train(small_task, cj.networks.GRU(7), seed=1, out=out, **QUICK)
    assert len(calls) == 13 and same(returned, whole)


def test_a_folder_of_another_run_or_training_is_refused(small_task, small_runs, tmp_path):
    small_runs[0].save(tmp_path / "done")
    with pytest.raises(FileExistsError, match=r"^`out`: .* holds a finished run of another config \(other .*seed"):
        cj.train(small_task, cj.networks.GRU(7), seed=5, out=tmp_path / "done", **QUICK)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"exists and holds no run\. Name an empty or a new folder\.$"):
        cj.train(small_task, cj.networks.GRU(7), out=tmp_path / "full", **QUICK)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / checkpoint.FILE).write_bytes(b"123")
    with pytest.raises(
        ValueError, match=r"checkpoint\.safetensors: not a whole checkpoint .* Delete it to start over\.$"
    ):
        cj.train(small_task, cj.networks.GRU(7), out=tmp_path / "cut", **QUICK)


def test_what_cannot_be_saved_is_said_before_any_work(small_task, tmp_path):
    cell = torch.nn.Identity()
    with pytest.raises((TypeError, ValueError)):
        cj.train(small_task, cj.networks.from_cell(cell, 4), out=tmp_path / "x", **QUICK)
    built = cj.networks.GRU(4)
    built.init_model(2, 2)
    with pytest.raises(ValueError, match=r"^`out`: a network that has weights already cannot be resumed"):
        cj.train(small_task, built, out=tmp_path / "x", **QUICK)
    assert not (tmp_path / "x").exists()


def test_a_diverging_training_keeps_its_best_weights(small_task, monkeypatch):
    step = train_function.__globals__["_gradient_step"]
    monkeypatch.setitem(
        train_function.__globals__,
        "_gradient_step",
        lambda training: step(training) if training.state.step < 6 else float("nan"),
    )
    with pytest.warns(
        UserWarning, match=r"diverged at step 7: its loss was not finite\. Its best weights .* smaller learning_rate"
    ):
        run = cj.train(small_task, cj.networks.GRU(7), **QUICK)
    assert run.metrics["stopped"] == "diverged"
    assert run.metrics["test_r2"] == run.metrics["test_r2"]


def test_progress_tells_what_matters(small_task, capsys, monkeypatch):
    monkeypatch.setattr(_progress, "_FIRST_LINE", 0.0)
    cj.train(small_task, cj.networks.GRU(7), **{**QUICK, "progress": True})
    shown = capsys.readouterr().err
    assert "GRU-7 on 2BFF" in shown and "held-out R2" in shown and "accuracy" in shown


def test_r2_is_variance_weighted_and_blind_to_what_is_masked():
    targets = torch.zeros(2, 3, 2)
    targets[..., 0] = torch.tensor([[1.0, 2, 3], [4, 5, 6]])
    targets[..., 1] = 10 * targets[..., 0]
    mask = torch.ones(2, 3, 2, dtype=torch.bool)
    assert masked_r2(targets, targets, mask) == 1
    assert masked_r2(torch.tensor([3.5, 35.0]).expand(2, 3, 2), targets, mask) == pytest.approx(0)
    outputs = targets.clone()
    outputs[0, 0] += 7
    mask[0, 0] = False
    assert masked_r2(outputs, targets, mask) == 1
    off = targets + torch.tensor([0.0, 1.0])
    left = targets[mask].reshape(-1, 2)
    total = (left - left.mean(0)).square().sum()
    assert masked_r2(off, targets, mask) == pytest.approx(1 - 5 / total.item())
    assert math.isnan(masked_r2(torch.ones(1, 2, 1), torch.ones(1, 2, 1), torch.ones(1, 2, 1)))  # nothing varies


def test_the_schedule_is_one_cycle():
    recipe = Recipe(steps=100, learning_rate=0.01, warmup=0.3, short_share=0.5, whole_share=0.2, short_timesteps=20)
    rates = [recipe.learning_rate_at(s) for s in range(100)]
    assert max(rates) == rates[30] == pytest.approx(0.01)
    assert rates[:31] == sorted(rates[:31]) and rates[30:] == sorted(rates[30:], reverse=True)
    assert rates[0] == pytest.approx(4e-4) and rates[-1] < 2e-5
    assert [recipe.timesteps_at(s, 500) for s in (0, 49, 50, 79, 80, 99)] == [20, 20, 100, 100, 500, 500]
    assert recipe.timesteps_at(0, 15) == 15
    assert Recipe(short_share=0).timesteps_at(0, 500) == 500


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stepz": 3}, "`settings`: expected one of 'steps', "),
        ({"batch_size": 0}, "`batch_size`: expected an integer >= 1, got 0."),
        ({"learning_rate": -1.0}, "`learning_rate`: expected a number in (0, inf), got -1.0."),
        ({"seed": -2}, "`seed`: expected an integer >= 0, got -2."),
    ],
)
def test_bad_settings_are_named(small_task, settings, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        cj.train(small_task, cj.networks.GRU(3), progress=False, **settings)


def test_averaged_weights_are_those_that_are_scored_and_kept(small_task):
    kept = []
    for averaging in (0.0, 0.9):
        recipe = Recipe(**{**{k: v for k, v in QUICK.items() if k != "progress"}, "averaging": averaging})
        training = begin(small_task, cj.networks.GRU(7), 0, recipe, None, "cpu")
        trail = [[p.detach().clone() for p in training.average.parameters()]]

        def tell(training, trail=trail):
            trail.append([p.detach().clone() for p in training.run.network.parameters()])

        fit(training, tell)
        for k, parameter in enumerate(training.average.parameters()):
            mean = trail[0][k]
            for step, weights in enumerate(trail[1:]):
                share = min(averaging, (1 + step) / (10 + step))
                mean = share * mean + (1 - share) * weights[k]
            torch.testing.assert_close(parameter.detach(), mean)
        kept.append(cj.training.evaluate(training.average, small_task, training.val)["r2"])
        assert training.state.history[-1]["val_r2"] == pytest.approx(kept[-1])
    assert kept[0] != kept[1]


@pytest.mark.parametrize("network", [cj.networks.GRU(64), cj.networks.NODE(3, 3, 32)])
def test_the_plain_rollout_trains_the_same_network(small_task, network, monkeypatch):
    import conjugacy.networks.compiled.flow as flow
    import conjugacy.networks.compiled.gru as gru

    calls = []
    for kernel in (flow, gru):
        monkeypatch.setattr(kernel, "on_threads", lambda *a, old=kernel.on_threads: calls.append(1) or old(*a))
    settings = {"steps": 4, "batch_size": 100, "eval_every": 2, "progress": False}
    fast = cj.train(small_task, network, **settings)
    assert calls
    calls.clear()
    plain = cj.train(small_task, network, rollout="plain", **settings)
    assert not calls
    assert plain.history.loss.tolist() == pytest.approx(fast.history.loss.tolist(), rel=1e-4)


def test_a_network_for_another_task_is_named(small_task):
    network = cj.networks.GRU(3)
    network.init_model(4, 2)
    with pytest.raises(
        ValueError, match=r"^`network`: expected 2 inputs and 2 outputs for task 2BFF, got 4 and 2\. Build"
    ):
        cj.train(small_task, network, progress=False)


def test_threads_are_as_they_were_afterwards(small_task):
    before = torch.get_num_threads()
    seen = []
    task = type("Spy", (), {"__getattr__": lambda _, name: getattr(small_task, name)})()

    def training_trials(n, seed, step, progress, calm=0.0):
        seen.append(torch.get_num_threads())
        return small_task.training_trials(n, seed, step, progress, calm)

    task.training_trials = training_trials
    settings = {**QUICK, "steps": 1}
    cj.train(task, cj.networks.GRU(3), **settings)
    cj.train(task, cj.networks.GRU(3), threads=before + 1, **settings)
    assert seen == [1, before + 1] and torch.get_num_threads() == before


def test_a_task_may_bring_its_recipe_and_a_loss_by_stage(small_task):
    seen = []

    class Staged(type(small_task)):
        @property
        def recipe(self):
            return {"steps": 5, "batch_size": 4}

        def training_loss(self, rollout, trials, progress):
            seen.append(progress)
            return self.loss(rollout, trials)

    task = Staged(n=2, n_timesteps=40)
    run = cj.train(task, cj.networks.GRU(7), progress=False)
    assert run.recipe["steps"] == 5 and run.recipe["batch_size"] == 4
    assert seen == [0.0, 0.2, 0.4, 0.6, 0.8]
    assert cj.train(task, cj.networks.GRU(7), progress=False, steps=3).recipe["steps"] == 3


def test_a_task_may_name_settings_for_a_network(small_task):
    gru, vanilla = cj.networks.GRU(7), cj.networks.VanillaRNN(7)
    assert Recipe.for_task(small_task, gru) == Recipe(**small_task.recipe_for(gru))
    assert Recipe.for_task(small_task, gru).recurrent_decay > 0
    assert Recipe.for_task(small_task, vanilla) == Recipe.for_task(small_task) == Recipe(**small_task.recipe)
    distilled = cj.tasks.NBitFlipFlop(distilled=True)
    assert Recipe.for_task(distilled, gru) == Recipe(**distilled.recipe)
    assert Recipe.for_task(object(), gru) == Recipe()
    for network in (gru, vanilla):
        run = cj.train(small_task, network, progress=False, steps=1)
        members = cj.train_population(small_task, network, [0], progress=False, steps=1)
        assert run.recipe == members[0].recipe == {**Recipe.for_task(small_task, network).as_dict(), "steps": 1}


def test_calm_trials_come_once_trials_are_no_longer_short(small_task):
    seen = []

    class Watched(type(small_task)):
        def training_trials(self, n, seed, step, progress, calm=0.0):
            seen.append(calm)
            return super().training_trials(n, seed, step, progress, calm)

    task = Watched(n=2, n_timesteps=40)
    cj.train(task, cj.networks.GRU(3), progress=False, steps=5, batch_size=8, calm_share=0.25)
    assert seen == [0.0, 0.0, 0.25, 0.25, 0.25]
    other = cj.tasks.DelayedDiscrimination()
    with pytest.raises(
        ValueError, match=r"^`calm_share`: expected 0, got 0\.1: .* has no calm trials\. Give it a method"
    ):
        cj.train(other, cj.networks.GRU(3), progress=False, calm_share=0.1)


@pytest.mark.parametrize(("stop_from", "steps"), [(0.0, 4), (0.5, 8), (1.0, 12)])
def test_what_has_learned_early_goes_on_where_it_is_asked_to(small_task, stop_from, steps):
    learned = {"stop_accuracy": 0.0, "stop_r2": -1e9, "stop_from": stop_from}
    run = cj.train(small_task, cj.networks.GRU(3), **QUICK, **learned)
    assert (run.metrics["stopped"], run.metrics["steps"]) == ("learned", steps)
