import torch

from conjugacy.networks import NoisyGRU
from conjugacy.runs.rollout import rollout
from conjugacy.training.lightning.data_module import TaskDataModule, TrialBatches


def test_batches_hold_every_trial_once_in_a_new_order_each_epoch(small_task):
    trials = small_task.trials(23, 0)
    batches = TrialBatches(trials, 5, seed=3)
    assert len(batches) == 5
    firsts = []
    for _ in range(2):
        seen = [b.inputs for b in batches]
        assert [len(b) for b in seen] == [5, 5, 5, 5, 3]
        joined = torch.cat(seen).flatten(1)
        assert torch.equal(joined.sort(0).values, trials.inputs.flatten(1).sort(0).values)
        firsts.append(seen[0])
    assert not torch.equal(*firsts)
    again = TrialBatches(trials, 5, seed=3)
    assert torch.equal(next(iter(again)).inputs, firsts[0])
    assert torch.equal(next(iter(TrialBatches(trials, 5))).inputs, trials.inputs[:5])


def test_the_data_module_never_returns_trials_of_another_task(small_task):
    from conjugacy.tasks import NBitFlipFlop

    module = TaskDataModule(small_task, n_samples=10)
    before = module.trials("all").digest()
    module.set_environment(NBitFlipFlop(2, 40, switch_prob=0.2, noise=0.1))
    assert module.trials("all").digest() != before
    assert module.trials("train").digest() == module.trials("all")[:8].digest()
    assert module.trials("test").inputs.shape[1] == 40


def test_training_steps_have_noise_and_validation_has_none(small_task):
    from conjugacy.training.lightning.wrapper import TaskTrainedWrapper

    wrapper = TaskTrainedWrapper(1e-3, 0.0, small_task, NoisyGRU(6, noise_level=0.3))
    wrapper.log = wrapper.log_dict = lambda *a, **k: None
    batch = small_task.trials(4, 0)
    quiet = small_task.loss(rollout(wrapper.model, small_task, batch), batch)
    assert wrapper.training_step(batch, 0) != quiet
    assert wrapper.training_step(batch, 0) == wrapper.training_step(batch, 0)
    logged = {}
    wrapper.log_dict = lambda scores, **_: logged.update(scores)
    wrapper.validation_step(batch, 0)
    assert logged["valid/loss"] == quiet and set(logged) == {"valid/loss", "valid/r2", "valid/accuracy"}
