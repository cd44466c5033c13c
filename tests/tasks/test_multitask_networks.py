"""Networks on MultiTask: the one that CtDB's authors published, and one from scratch."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy.networks import GRU
from conjugacy.runs.rollout import rollout
from conjugacy.tasks import MultiTask
from conjugacy.training.lightning.data_module import TaskDataModule, TrialBatches

RULES = MultiTask.RULES
REPOSITORY = Path(__file__).parents[2]
PRETRAINED = [p / "shared" / "reference" / "pretrained" / "multitask.npz" for p in (REPOSITORY, REPOSITORY.parent)]
# success of the published network, as measured with its authors' code on 100 trials a rule
PUBLISHED = dict.fromkeys(RULES[:6], 0.99) | {
    "IntMod1": 0.88,
    "IntMod2": 0.88,
    "ContextIntMod1": 0.85,
    "ContextIntMod2": 0.83,
    "ContextIntMultimodal": 0.80,
    "Match2Sample": 0.54,
    "NonMatch2Sample": 0.58,
    "MatchCatPro": 0.60,
    "MatchCatAnti": 0.56,
}


@pytest.fixture(scope="module")
def published():
    """The published network on trials of the variant "ctdb": task, trials, outputs."""
    path = next((p for p in PRETRAINED if p.exists()), None)
    if path is None:
        pytest.skip("the published weights (shared/reference/pretrained/multitask.npz) are not here")
    network = GRU(64)
    network.init_model(20, 3)
    with np.load(path) as weights:
        network.load_state_dict({k: torch.from_numpy(weights[k]) for k in weights.files})
    task = MultiTask(variant="ctdb")
    trials = task.trials(15 * 200, seed=0)
    with torch.no_grad():
        return task, trials, rollout(network, task, trials).outputs


def test_the_published_network_solves_our_trials_as_well_as_its_authors(published):
    task, trials, outputs = published
    rates = task.success_rate(outputs, trials)
    assert all(rates[f"accuracy/{rule}"] >= 0.97 for rule in RULES[:6])
    assert all(rates[f"accuracy/{rule}"] >= 0.78 for rule in RULES[6:11])
    for rule, theirs in PUBLISHED.items():
        # two samples, of 100 and of 200 trials
        error = np.sqrt(max(theirs * (1 - theirs), 0.005) * (1 / 100 + 1 / 200))
        assert abs(rates[f"accuracy/{rule}"] - theirs) < 4 * error, rule


def test_the_published_network_fixates_until_the_response(published):
    _, trials, outputs = published
    step = torch.arange(trials.n_timesteps)
    before = (step >= 5) & (step < trials.epochs["response"][:, :1])
    silent = torch.tensor([RULES.index(r) for r in ("NonMatch2Sample", "MatchCatPro", "MatchCatAnti")])
    fixating = ~torch.isin(trials.conditions, silent)
    its = outputs[..., 0][before & fixating[:, None]]
    assert its.mean() >= 0.99 and (its >= 0.9).float().mean() >= 0.998
    by_trial = (outputs[..., 0] * before).sum(1) / before.sum(1)
    assert (by_trial[fixating] >= 0.9).float().mean() >= 0.998


def small(steps=6):
    settings = {"steps": steps, "batch_size": 15, "eval_every": 3, "progress": False}
    return cj.train(MultiTask(["DelayPro", "IntMod1", "Match2Sample"], bin_size=50), GRU(6), seed=1, **settings)


def test_train_save_and_load(tmp_path):
    run = small()
    recipe, n = cj.Recipe.for_task(run.task), run.task.n_timesteps
    assert {recipe.timesteps_at(step, n) for step in range(recipe.steps)} == {n}  # responses come last
    columns = [f"val_accuracy/{rule}" for rule in ("DelayPro", "IntMod1", "Match2Sample")]
    assert set(columns) < set(run.history.columns) and len(run.history) == 2
    assert {f"test_accuracy/{rule}" for rule in ("DelayPro", "IntMod1", "Match2Sample")} < set(run.metrics)
    run.save(tmp_path / "run")
    again = cj.load(tmp_path / "run")
    assert again.task.rules == run.task.rules and again.task.bin_size == 50
    torch.testing.assert_close(again.rollout("val").outputs, run.rollout("val").outputs)
    assert again.trials("test").digest() == run.trials("test").digest()
    assert torch.equal(small().rollout("val").outputs, run.rollout("val").outputs)  # the same seed, the same network


def test_the_ends_of_trials_are_the_ends_of_trajectories():
    system = small(3).system("val")
    trials = small(3).trials("val")
    assert torch.equal(system.lengths, trials.epochs["response"][:, 1])


def test_a_lightning_trainer_trains_it(tmp_path):
    from pytorch_lightning import Trainer

    from conjugacy.training.lightning.wrapper import TaskTrainedWrapper

    task = MultiTask(["DelayPro", "ReactAnti"], bin_size=50)
    module = TaskDataModule(task, n_samples=40, batch_size=16)
    wrapper = TaskTrainedWrapper(1e-3, 0.0, task, GRU(5))
    before = wrapper.model.cell.weight_hh.detach().clone()
    options = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    # Lightning warns about the machine and touches torch's generator in its checks
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        trainer = Trainer(
            max_epochs=1, accelerator="cpu", default_root_dir=tmp_path, enable_checkpointing=False, **options
        )
        trainer.fit(wrapper, module)
    assert not torch.equal(wrapper.model.cell.weight_hh, before)
    assert trainer.callback_metrics["valid/accuracy"] >= 0
    run = wrapper.as_run(module)
    run.save(tmp_path / "run")
    assert cj.load(tmp_path / "run").trials("all").digest() == module.trials("all").digest()


def test_grouped_batches_of_a_data_module_hold_every_trial_once_and_one_rule_each():
    task = MultiTask(["DelayPro", "ReactAnti", "IntMod2"], bin_size=50, batches="grouped")
    module = TaskDataModule(task, n_samples=100, batch_size=8)
    batches = module.train_dataloader()
    assert isinstance(batches, TrialBatches)
    epochs = [list(batches), list(batches)]
    for epoch in epochs:
        assert (
            len(epoch)
            == len(batches)
            == sum(-(-int(n) // 8) for n in module.trials("train").conditions.bincount() if n)
        )
        assert all(len(b.conditions.unique()) == 1 for b in epoch)
        assert sum(len(b) for b in epoch) == 80
        rows = torch.cat([b.inputs[:, :20, 0] for b in epoch])
        whole = module.trials("train").inputs[:, :20, 0]
        assert torch.equal(rows.sort(0).values, whole.sort(0).values)
    first, second = ([b.conditions[0].item() for b in epoch] for epoch in epochs)
    assert first != second and first != sorted(first)
    # nothing that counts is cut off
    assert sum(int(b.mask.sum()) for b in epochs[0]) == int(module.trials("train").mask.sum())


@pytest.fixture(scope="module")
def by_the_recipe():
    """Six minutes on one core."""
    return cj.train(MultiTask(), GRU(128), seed=0, progress=False)


@pytest.mark.slow
def test_the_recipe_learns_all_rules(by_the_recipe):
    task, trials = by_the_recipe.task, by_the_recipe.task.trials(15 * 200, seed=123_456)
    outputs = by_the_recipe.rollout(trials).outputs
    strict = task.success_rate(outputs, trials)
    response = task.successes(outputs, trials)["response"]
    rates = {r: float(response[trials.conditions == k].float().mean()) for k, r in enumerate(RULES)}
    assert strict["accuracy"] >= 0.93
    assert all(rates[rule] >= 0.98 for rule in RULES[:6])
    assert all(rates[rule] > PUBLISHED[rule] for rule in RULES[6:])


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["MemoryPro", "MemoryAnti", "NonMatch2Sample"])
def test_an_angle_is_remembered_on_one_ring(by_the_recipe, rule):
    epochs = cj.Analysis(by_the_recipe).epochs("test")
    points = epochs.fixed_points(rule, "mem1", n_inits=64, progress=False)
    (ring,) = points.plateaus
    assert ring.topology == "ring" and ring.share == 1 and "a ring" in points.summary()
    rows = epochs.rows(rule, "mem1")
    ends, starts = (epochs.trials.epochs[name][rows] for name in ("mem1", "stim1"))
    stimuli = epochs.trials.true_inputs[rows, starts[:, 0]]
    first = stimuli[:, 1:3].abs().sum(1) > 0
    shown = torch.where(first[:, None], stimuli[:, 1:3], stimuli[:, 3:5])
    angles = ring.angles(epochs.latents[rows, ends[:, 1] - 1]) - torch.tensor([[1], [-1]]) * torch.atan2(
        shown[:, 1], shown[:, 0]
    )
    assert float(torch.polar(torch.ones_like(angles), angles).mean(1).abs().max()) > 0.95


@pytest.mark.slow
def test_pro_and_anti_rules_remember_in_planes_of_their_own(by_the_recipe):
    places = [("MemoryPro", "mem1"), ("MemoryAnti", "mem1"), ("NonMatch2Sample", "mem1")]
    places += [("DelayPro", "context", "stim1"), ("DelayAnti", "context", "stim1")]
    found = cj.shared_motifs(by_the_recipe, places, n_inits=64, progress=False)
    pro, anti = (f"{kind}, context after stim1" for kind in ("DelayPro", "DelayAnti"))
    motifs = found.motifs
    assert motifs["MemoryPro, mem1"] == motifs[pro] == 0
    assert motifs["MemoryAnti, mem1"] == motifs["NonMatch2Sample, mem1"] == motifs[anti] == 1
    assert found.shares.loc["MemoryPro, mem1", "MemoryAnti, mem1"] < 0.2
    assert found.table().loc["MemoryPro, mem1", "at rest"] == "1 ring"
    evidence = found.lesion_evidence(n_random=5).set_index(["motif", "condition"])
    for motif, hurt, spared in ((0, "MemoryPro", "DelayAnti"), (1, "MemoryAnti", "DelayPro")):
        assert evidence.loc[(motif, hurt), "drop"] > max(0.4, evidence.loc[(motif, hurt), "random high"])
        assert evidence.loc[(motif, spared), "drop"] < 0.1
