import base64
import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from torch import nn

import conjugacy as cj
from conjugacy import _progress
from conjugacy.networks.stack import Stack, form
from conjugacy.populations import population
from conjugacy.populations.processes import Workers, job_of
from conjugacy.populations.stacked import fit_stacked, stacked_rollout
from conjugacy.populations.stacked_adam import StackedAdam
from conjugacy.populations.worker import do_job
from conjugacy.runs.rollout import rollout
from conjugacy.training.recipe import Recipe
from conjugacy.training.train import Training, begin
from conjugacy.trials import Rollout

QUICK = {"steps": 12, "batch_size": 8, "eval_every": 4, "progress": False}
PUBLIC = {n: k for n, k in vars(cj.networks).items() if isinstance(k, type) and issubclass(k, cj.networks.Network)}
KINDS = {n: k.small() for n, k in PUBLIC.items() if n not in ("Network", "CellNetwork")} | {
    "GRU": cj.networks.GRU(6),
    "NoisyGRU": cj.networks.NoisyGRU(6, noise_level=0.2),
    "VanillaRNN": cj.networks.VanillaRNN(6),
    "LSTM": cj.networks.LSTM(5),
    "LeakyRNN": cj.networks.LeakyRNN(6, noise_level=0.1),
    "LowRankRNN": cj.networks.LowRankRNN(6, 2),
    "NODE": cj.networks.NODE(3, 2, 9, ic_noise=0.0),
    "ChaoticRateRNN": cj.networks.ChaoticRateRNN(6),
    "ChaoticVanillaRNN": cj.networks.ChaoticVanillaRNN(6),
    "EIRNN": cj.networks.EIRNN(6),
    "NoisyGRULatentL2": cj.networks.NoisyGRULatentL2(6),
}


def weights(run):
    return list(run.network.state_dict().values())


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))


def close(a, b, rtol=1e-4):
    losses = [torch.tensor(r.history.loss.to_numpy()) for r in (a, b)]
    torch.testing.assert_close(*losses, rtol=rtol, atol=0)
    torch.testing.assert_close(weights(a), weights(b), rtol=0, atol=1e-4)
    assert a.history.val_r2.tolist() == pytest.approx(b.history.val_r2.tolist(), abs=1e-4)
    assert a.metrics["steps"] == b.metrics["steps"] and a.metrics["stopped"] == b.metrics["stopped"]
    assert a.metrics["test_r2"] == pytest.approx(b.metrics["test_r2"], abs=1e-4)
    return True


def test_losses_of_a_stack_are_those_of_training_alone_over_50_steps(small_task, monkeypatch):
    count_step, losses = Training.count_step, {}

    def noted(training, loss, scores=None):
        losses.setdefault((training.run.seed, len(together)), []).append(loss)
        count_step(training, loss, scores)

    monkeypatch.setattr(Training, "count_step", noted)
    settings, together = {**QUICK, "steps": 50, "eval_every": 25}, []
    together += cj.train_population(small_task, cj.networks.GRU(7), [0, 5], stacked=True, **settings)
    for run, seed in zip(together, [0, 5], strict=True):
        assert run.seed == seed
        assert close(run, cj.train(small_task, cj.networks.GRU(7), seed, **settings))
        assert len(losses[seed, 0]) == len(losses[seed, 2]) == 50
        assert losses[seed, 0] == pytest.approx(losses[seed, 2], rel=1e-4)
    assert not same(together[0], together[1])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_network_can_be_stacked(small_task, kind):
    settings = {**QUICK, "learning_rate": 1e-2}  # large steps make much of rounding
    runs = cj.train_population(small_task, KINDS[kind], [3, 1], stacked=True, **settings)
    for run in runs:
        assert close(run, cj.train(small_task, KINDS[kind], run.seed, **settings))


def test_one_after_the_other_is_training_alone_bit_for_bit(small_task, small_runs):
    runs = cj.train_population(small_task, cj.networks.GRU(7), [4, 1], workers=1, **QUICK)
    assert same(runs[1], small_runs[0]) and runs[1].history.loss.tolist() == small_runs[0].history.loss.tolist()
    assert [r.seed for r in runs] == [4, 1]


@pytest.mark.slow
def test_side_by_side_is_training_alone_bit_for_bit(small_task, small_runs, tmp_path):
    runs = cj.train_population(small_task, cj.networks.GRU(7), [1, 2, 3], workers=2, out=tmp_path / "p", **QUICK)
    assert same(runs[0], small_runs[0])
    drop = ("seconds",)
    for made, alone in ((runs[0], small_runs[0]), (runs[0], cj.load(tmp_path / "p" / "seed=1"))):
        assert made.history.drop(columns="seconds").equals(alone.history.drop(columns="seconds"))
        assert {k: v for k, v in made.metrics.items() if k not in drop} == {
            k: v for k, v in alone.metrics.items() if k not in drop
        }
    assert not same(runs[1], runs[2])


def test_settings_vary_and_each_network_stops_by_itself(small_task):
    vary = {"latent_size": [4, 6], "learning_rate": [1e-3, 1e-2], "steps": [5, 12]}
    runs = cj.train_population(small_task, cj.networks.GRU(3), [0, 7], vary, stacked=True, **QUICK)
    assert len(runs) == 16
    told = [(r.network.latent_size, r.recipe["learning_rate"], r.recipe["steps"], r.seed) for r in runs]
    assert told[:5] == [(4, 1e-3, 5, 0), (4, 1e-3, 5, 7), (4, 1e-3, 12, 0), (4, 1e-3, 12, 7), (4, 1e-2, 5, 0)]
    assert [r.metrics["steps"] for r in runs] == [5, 5, 12, 12] * 4
    for i in (3, 5, 15):
        r = runs[i]
        alone = {**QUICK, "steps": r.recipe["steps"], "learning_rate": r.recipe["learning_rate"]}
        assert close(r, cj.train(small_task, cj.networks.GRU(r.network.latent_size), r.seed, **alone))


def test_networks_that_have_learned_leave_the_stack(small_task):
    settings = {**QUICK, "stop_accuracy": 0.0, "stop_from": 0.0}
    vary = {"stop_r2": [-100.0, 2.0]}
    runs = cj.train_population(small_task, cj.networks.GRU(7), [2, 1], vary, stacked=True, **settings)
    ends = [(r.metrics["stopped"], r.metrics["steps"]) for r in runs]
    assert ends == [("learned", 4), ("learned", 4), ("steps", 12), ("steps", 12)]
    for run in runs:
        alone = cj.train(small_task, cj.networks.GRU(7), run.seed, stop_r2=run.recipe["stop_r2"], **settings)
        assert close(run, alone)


def test_one_that_diverges_leaves_the_others_as_they_are(small_task):
    vary = {"learning_rate": [1e-2, 1e30]}
    settings = {**QUICK, "clip": 1e30, "eval_every": 1, "recurrent_decay": 0.0}
    with pytest.warns(UserWarning, match=r"^training NODE-5 with seed 2 diverged at step \d+: its loss was not fin"):
        good, bad = cj.train_population(small_task, cj.networks.NODE(5), [2], vary, stacked=True, **settings)
    assert bad.metrics["stopped"] == "diverged" and bad.metrics["steps"] < 12
    assert close(good, cj.train(small_task, cj.networks.NODE(5), 2, **settings, learning_rate=1e-2))


@pytest.mark.parametrize("stacked", [False, True])
def test_an_interrupted_population_goes_on_where_it_was(small_task, small_runs, tmp_path, monkeypatch, stacked):
    options = {"stacked": stacked, "workers": 1, "out": tmp_path, **QUICK}
    count_step, told = population._Bar.count_step, []

    def interrupted(bar, training):
        told.append(training.run.seed)
        if len(told) == 19:
            raise KeyboardInterrupt
        count_step(bar, training)

    monkeypatch.setattr(population._Bar, "count_step", interrupted)
    halves = cj.train_population(small_task, cj.networks.GRU(7), [2, 1], **options)
    steps = {r.seed: (r.metrics["steps"], r.metrics["stopped"]) for r in halves}
    assert steps == (
        {2: (10, "interrupted"), 1: (10, "interrupted")} if stacked else {2: (12, "steps"), 1: (7, "interrupted")}
    )
    wholes = cj.train_population(small_task, cj.networks.GRU(7), [2, 1], **options)
    # no step is taken twice; where the interruption fell, one had been taken that was not told of
    assert len(told) == (19 + 4 if stacked else 19 + 5)
    if stacked:
        assert close(wholes[1], small_runs[0])
    else:
        assert same(wholes[1], small_runs[0]) and same(wholes[0], halves[0])
    again = cj.train_population(small_task, cj.networks.GRU(7), [1, 2], **options)
    assert len(told) == (23 if stacked else 24) and same(again[0], wholes[1])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["seed=1", "seed=2"]


def test_members_behind_catch_up(small_task):
    """After an interruption a member may be some steps behind the others."""
    recipe = replace(Recipe.for_task(small_task, cj.networks.GRU(7)), steps=12, batch_size=8, eval_every=4)
    trainings = [begin(small_task, cj.networks.GRU(7), s, recipe, None, "cpu") for s in (1, 2)]
    fit_stacked(trainings[:1], lambda t: setattr(t, "stopped", "interrupted") if t.state.step == 5 else None)
    trainings[0].stopped = ""
    order = []
    fit_stacked(trainings, lambda t: order.append(t.run.seed))
    assert order == [2] * 5 + [1, 2] * 7
    for training in trainings:
        assert close(training.end(), cj.train(small_task, cj.networks.GRU(7), training.run.seed, **QUICK))


def test_trials_drawn_ahead_are_the_same_trials(small_task):
    recipe, ends = Recipe(steps=6, batch_size=4, eval_every=3), []
    for ahead in (False, True):
        trainings = [begin(small_task, cj.networks.NODE(3, 2, 9), s, recipe, None, "cpu") for s in (1, 2, 3)]
        fit_stacked(trainings, lambda t: None, draw_ahead=ahead)
        ends.append([t.end() for t in trainings])
    assert all(same(a, b) for a, b in zip(*ends))


def test_stacked_adam_is_torch_adam_with_settings_of_each_network():
    generator = torch.Generator().manual_seed(0)
    shapes = {"w": (4, 3, 2), "b": (4, 5), "unused": (4, 2)}
    whole = {k: torch.randn(s, generator=generator).requires_grad_() for k, s in shapes.items()}
    alone = [{k: p.detach()[m].clone().requires_grad_() for k, p in whole.items()} for m in range(4)]
    decay, clips = torch.tensor([0.0, 0.1, 0.0, 0.3]), torch.tensor([1e-3, 1.0, 100.0, 2.0])
    adams = [torch.optim.Adam(own.values(), weight_decay=float(d)) for own, d in zip(alone, decay)]
    adam = StackedAdam(whole, decay)
    for step in range(20):
        rates = 0.1 * torch.rand(4, generator=generator)
        which = torch.tensor([True, True, True, step < 10])  # the last one stays as it is from then on
        target = torch.randn(4, 3, 2, generator=generator)
        ((whole["w"] - target).square().sum() + whole["b"].pow(4).sum()).backward()
        for m, (own, each) in enumerate(zip(alone, adams)):
            each.zero_grad()
            ((own["w"] - target[m]).square().sum() + own["b"].pow(4).sum()).backward()
            torch.nn.utils.clip_grad_norm_(own.values(), float(clips[m]))
            each.param_groups[0]["lr"] = float(rates[m])
            if which[m]:
                each.step()
        adam.step(rates, clips, which)
    for m, own in enumerate(alone):
        for name in shapes:
            torch.testing.assert_close(whole[name][m], own[name], rtol=1e-5, atol=1e-6)


def test_a_stack_acts_in_closed_loop_as_each_network_does():
    task = cj.tasks.RandomTarget(max_ep_duration=0.8, vision_noise=0.01)
    recipe = Recipe.for_task(task)
    kind = cj.networks.NoisyGRU(5)
    trainings = [begin(task, kind, s, recipe, None, "cpu") for s in (1, 2)]
    trials = [task.trials(3, 8), task.trials(3, 9).first(task.n_timesteps - 7)]
    alone = [
        rollout(t.run.network, task, own, noise=torch.Generator().manual_seed(4)) for t, own in zip(trainings, trials)
    ]
    stack = Stack([t.run.network for t in trainings])
    together = stacked_rollout(stack, trainings, trials, [torch.Generator().manual_seed(4) for _ in trials])
    for a, b in zip(alone, together, strict=True):
        for name in ("latents", "outputs", "actions", "observations"):
            torch.testing.assert_close(getattr(a, name), getattr(b, name), rtol=1e-4, atol=1e-5)


class Nested(cj.networks.GRU):
    def make_cell(self, input_size, generator):
        class Around(nn.Module):
            def __init__(self, cell):
                super().__init__()
                self.inner = cell

            def forward(self, u, x):
                return self.inner(u, x)

        return Around(super().make_cell(input_size, generator))


def test_networks_stack_only_if_they_compute_alike(small_task):
    def of(network):
        network.init_model(2, 2)
        return form(network)

    assert of(cj.networks.GRU(4, update_bias=1.0)) == of(cj.networks.GRU(4, update_bias=3.0, ic_noise=0.0))
    assert of(cj.networks.GRU(4)) != of(cj.networks.GRU(5))
    assert of(cj.networks.LeakyRNN(4, 0.1)) != of(cj.networks.LeakyRNN(4, 0.2))
    assert of(cj.networks.NODE(3, 2, 9, 0.1)) != of(cj.networks.NODE(3, 2, 9, 0.2))
    assert of(Nested(4)) is None
    with pytest.raises(ValueError, match=r"^`networks`: expected networks of one form"):
        Stack([begin(small_task, k, 0, Recipe(), None, "cpu").run.network for k in (Nested(4), Nested(4))])
    runs = cj.train_population(small_task, Nested(4), [3], stacked=True, **QUICK)
    assert same(runs[0], cj.train(small_task, Nested(4), 3, **QUICK))


def test_networks_with_weights_start_from_them(small_task):
    network = cj.networks.GRU(4)
    network.init_model(2, 2, seed=9)
    runs = cj.train_population(small_task, network, [3, 5], workers=2, **QUICK)
    for run in runs:
        assert same(run, cj.train(small_task, network, run.seed, **QUICK))


def test_one_progress_bar_for_all(small_task, capsys, monkeypatch):
    monkeypatch.setattr(_progress, "_FIRST_LINE", 0.0)
    cj.train_population(small_task, cj.networks.GRU(4), range(3), workers=1, **{**QUICK, "progress": True})
    shown = capsys.readouterr().err
    assert "3 x GRU on 2BFF" in shown and "36 of 36 steps" in shown and "3 of 3 trained" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vary": {"latnt_size": [1]}}, "`vary`: expected one of 'latent_size', "),
        ({"vary": {"latent_size": 3}}, "`vary`: expected a list of values for 'latent_size', got 3."),
        ({"vary": {"latent_size": [3, 0]}}, "`latent_size`: expected an integer >= 1, got 0."),
        ({"vary": {"learning_rate": [-1.0]}}, "`learning_rate`: expected a number in (0, inf), got -1.0."),
        ({"stepz": 3}, "`settings`: expected one of 'steps', "),
        ({"seeds": []}, "`seeds`: expected at least one seed, got none."),
        ({"seeds": [1, 1]}, "`seeds`: expected each seed once, got [1, 1]."),
        ({"seeds": [-1]}, "`seeds`: expected an integer >= 0, got -1."),
        ({"workers": 0}, "`workers`: expected an integer >= 1, got 0."),
    ],
)
def test_mistakes_are_named_before_anything_is_trained(small_task, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        cj.train_population(
            small_task, cj.networks.GRU(3), **{"seeds": [0], "out": tmp_path / "p", **QUICK, **arguments}
        )
    assert not (tmp_path / "p").exists()


def test_names_of_members_are_names_of_folders():
    assert population.member_name({"latent_size": 64, "seed": 3}) == "latent_size=64,seed=3"
    odd = [population.member_name({"x": v}) for v in ("a/b", "a b", [1, 2], "z" * 300)]
    assert len(set(odd)) == 4 and all(re.fullmatch(r"[\w.,=+-]{1,120}", name) for name in odd)


@pytest.mark.slow
def test_a_worker_that_dies_is_reported_and_others_take_over(small_task):
    job = job_of(small_task, cj.networks.GRU(4), 0, Recipe(steps=100_000, stop_r2=2), None, "cpu", 1)
    with Workers(2) as pool:
        pool.submit("a", job)
        key, message = pool.next_message()
        assert key == "a" and message["step"] > 0
        (worker,) = pool._running
        worker.kill()
        while "error" not in message:
            key, message = pool.next_message()
        assert message["error"] == "RuntimeError: its process ended with exit code -9." and not pool.busy
        pool.submit("b", {**job, "network": {"class": "Nothing", "args": {}}})
        key, message = pool.next_message()
        assert key == "b" and message["error"].startswith("ValueError: `network`: expected one of the classes")
        pool.submit("c", job)  # the same worker
        pool.next_message()
        (worker,) = pool._running
    assert worker.poll() == 0  # it left when its input was closed, in the middle of a job


def test_what_another_process_cannot_build_is_no_job(small_task):
    class Unpicklable(cj.networks.GRU):
        lock = threading.Lock()

    for network in (cj.networks.from_cell(nn.Identity(), 3), Unpicklable(3)):
        assert job_of(small_task, network, 0, Recipe(), None, "cpu", 1) is None
    assert job_of(small_task, cj.networks.GRU(3), 0, Recipe(), None, "cpu", 1)["classes"] == []


def test_a_class_that_cannot_be_imported_goes_to_the_other_process_by_value(small_task):
    class OfANotebook(cj.networks.GRU):
        def __init__(self, latent_size, gain=1.5):
            super().__init__(latent_size)
            self.gain = gain

        def init_model(self, *arguments, **more):
            super().init_model(*arguments, **more)
            with torch.no_grad():
                self.readout.weight *= self.gain

    recipe = Recipe.for_task(small_task, cj.networks.GRU(4))
    recipe = replace(recipe, **{k: v for k, v in QUICK.items() if k != "progress"})
    job = json.loads(json.dumps(job_of(small_task, OfANotebook(4, 0.5), 3, recipe, None, "cpu", 1)))
    alone = cj.train(small_task, OfANotebook(4, 0.5), 3, **QUICK)
    made = safetensors.torch.load(base64.b64decode(do_job(job)["weights"]))
    assert all(torch.equal(v, made[k]) for k, v in alone.network.state_dict().items())


SCRIPT = """
import conjugacy as cj

class OfAScript(cj.networks.GRU):
    pass

runs = cj.train_population(cj.tasks.NBitFlipFlop(n=1, n_timesteps=20), OfAScript(3), [1, 2], workers=2, steps=2,
                           batch_size=4, progress=False)
print([type(run.network).__name__ for run in runs], [run.seed for run in runs])
"""


@pytest.mark.slow
def test_a_script_without_a_main_guard_trains_its_own_class_side_by_side(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", tmp_path / "script.py"], env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "['OfAScript', 'OfAScript'] [1, 2]", done.stderr


def test_one_training_that_fails_leaves_the_others(small_task, monkeypatch):
    class Pool:
        def __init__(self, *_):
            self.left = []

        busy, has_room = property(lambda self: bool(self.left)), True

        def submit(self, key, job):
            self.left.append((key, job))

        def next_message(self):
            key, job = self.left.pop(0)
            if job["seed"] == 5:
                return key, {"error": "RuntimeError: its process ended with exit code -9."}
            result = do_job(job)
            return key, {**result, "weights": base64.b64decode(result["weights"])}

        __enter__, __exit__ = (lambda self: self), (lambda self, *_: None)

    monkeypatch.setattr(population, "Workers", Pool)
    with pytest.raises(RuntimeError, match=r"^the training of GRU-4 with seed 5 failed: .* code -9\.") as caught:
        cj.train_population(small_task, cj.networks.GRU(4), [2, 5, 1], workers=2, **QUICK)
    assert [run.seed for run in caught.value.runs] == [2, 1]
    assert [run.metrics["stopped"] for run in caught.value.runs] == ["steps", "steps"]


def test_a_rollout_is_cut_in_time():
    out = Rollout(torch.arange(24.0).view(2, 4, 3), torch.zeros(2, 4, 1))
    assert out.first(2).latents.equal(out.latents[:, :2]) and out.first(2).outputs.shape == (2, 2, 1)


@pytest.mark.parametrize("how", [{"workers": 2}, {"workers": 1}, {"stacked": True}])
def test_members_keep_their_weights_as_one_trained_alone_does(small_task, how, tmp_path):
    settings = {**QUICK, "steps": 4, "keep": [0, 2, 4]}
    runs = cj.train_population(small_task, cj.networks.GRU(4), [1, 2], out=tmp_path / "p", **how, **settings)
    for run in runs:
        alone = cj.train(small_task, cj.networks.GRU(4), run.seed, out=tmp_path / f"alone{run.seed}", **settings)
        assert list(run.snapshots) == list(alone.snapshots) == [0, 2, 4]
        # stacked products round differently
        near = {"rtol": 1e-4, "atol": 1e-5} if "stacked" in how else {"rtol": 0, "atol": 0}
        for step in (0, 2, 4):
            ours, theirs = (r.snapshots[step].network.state_dict() for r in (run, alone))
            torch.testing.assert_close(ours, theirs, **near)
    (again,) = cj.train_population(small_task, cj.networks.GRU(4), [1], out=tmp_path / "p", **how, **settings)
    assert list(again.snapshots) == [0, 2, 4]


def test_members_go_on_from_a_run_each_with_its_seed(small_task, tmp_path):
    start = cj.train(small_task, cj.networks.GRU(4), 7, **QUICK)
    other = cj.tasks.NBitFlipFlop(n=3, n_timesteps=20)
    runs = cj.train_population(
        other, seeds=[1, 2], vary={"learning_rate": [1e-3, 1e-2]}, start=start, workers=2, out=tmp_path, **QUICK
    )
    assert len(runs) == 4
    alone = cj.train(other, seed=2, start=start, **{**QUICK, "learning_rate": 1e-2})
    torch.testing.assert_close(runs[3].network.state_dict(), alone.network.state_dict(), rtol=0, atol=0)
    assert runs[3].start.copied == alone.start.copied
    with pytest.raises(ValueError, match=r"^`vary`: latent_size cannot be varied beside `start`"):
        cj.train_population(other, seeds=[1], vary={"latent_size": [4, 5]}, start=start, **QUICK)
    with pytest.raises(ValueError, match=r"^`network`: expected none beside `start`"):
        cj.train_population(other, cj.networks.GRU(4), seeds=[1], start=start, **QUICK)
    with pytest.raises(ValueError, match=r"^`keep`: expected None without `out`"):
        cj.train_population(other, cj.networks.GRU(4), seeds=[1], keep=[0], **QUICK)
