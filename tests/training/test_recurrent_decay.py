"""The decay of recurrent weights: AdamW's, of those weights alone, and unknown to runs that were saved before it."""

import json
import re
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import conjugacy as cj
from conjugacy.training import checkpoint
from conjugacy.training.recipe import Recipe
from conjugacy.training.train import begin, fit

RECIPE = Recipe(steps=8, batch_size=4, eval_every=4, learning_rate=0.02, recurrent_decay=3.0)
QUICK = {"steps": 12, "batch_size": 8, "eval_every": 4, "progress": False, "recurrent_decay": 0.0}
N = cj.networks


@pytest.mark.parametrize(
    ("network", "recurrent"),
    [
        (N.GRU(5), {"cell.weight_hh"}),
        (N.LSTM(5), {"cell.lstm.weight_hh"}),
        (N.VanillaRNN(5), {"cell.weight_hh"}),
        (N.LeakyRNN(5), {"cell.weight_hh"}),
        (N.EIRNN(5), {"cell.raw_weight_hh"}),
        (N.LowRankRNN(5, rank=2), set()),
        (N.NODE(3, 2, 7), set()),
    ],
)
def test_without_gradients_recurrent_weights_shrink_as_the_schedule_says_and_all_else_stays(
    small_task, network, recurrent
):
    class Indifferent(type(small_task)):
        def loss(self, rollout, trials):
            return 0 * rollout.outputs.sum()

    training = begin(Indifferent(n=2, n_timesteps=40), network, 0, RECIPE, None, "cpu")
    before = {k: v.clone() for k, v in training.run.network.state_dict().items()}
    fit(training, lambda t: None)
    left = 1.0
    for step in range(RECIPE.steps):
        left *= 1 - RECIPE.learning_rate_at(step) * RECIPE.recurrent_decay
    assert 0.7 < left < 0.8
    assert set(training.run.network.recurrent_weights) == recurrent
    for name, now in training.run.network.state_dict().items():
        torch.testing.assert_close(now, before[name] * (left if name in recurrent else 1))


def test_it_is_the_decay_of_adamw(small_task):
    ours = begin(small_task, N.GRU(5), 1, RECIPE, None, "cpu")
    fit(ours, lambda t: None)
    theirs = begin(small_task, N.GRU(5), 1, replace(RECIPE, recurrent_decay=0.0), None, "cpu")
    named = dict(theirs.run.network.named_parameters())
    recurrent = named.pop("cell.weight_hh")
    theirs.optimizer = torch.optim.AdamW(
        [{"params": [recurrent], "weight_decay": 3.0}, {"params": list(named.values()), "weight_decay": 0.0}]
    )
    fit(theirs, lambda t: None)
    for a, b in zip(ours.run.network.parameters(), theirs.run.network.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_weights_that_are_not_trained_do_not_decay(small_task):
    network = N.GRU(5)
    network.init_model(2, 2)
    network.cell.weight_hh.requires_grad_(False)
    run = cj.train(small_task, network, progress=False, recipe=RECIPE)
    assert torch.equal(run.network.cell.weight_hh, network.cell.weight_hh)


def test_a_population_decays_as_its_members_do(small_task):
    members = cj.train_population(
        small_task,
        N.GRU(5),
        [1, 2],
        {"recurrent_decay": [0.0, 3.0]},
        recipe=RECIPE,
        stacked=True,
        progress=False,
    )
    assert len(members) == 4
    for member in members:
        alone = cj.train(small_task, N.GRU(5), member.seed, False, recipe=Recipe(**member.recipe))
        for a, b in zip(alone.network.parameters(), member.network.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    sizes = [float(m.network.cell.weight_hh.detach().norm()) for m in members]
    decays = [m.recipe["recurrent_decay"] for m in members]
    assert max(s for s, d in zip(sizes, decays) if d) < min(s for s, d in zip(sizes, decays) if not d)


def test_a_decay_that_would_turn_weights_round_is_refused():
    with pytest.raises(ValueError, match=r"^`recurrent_decay`: expected a number in \[0, 50\], got 51"):
        Recipe(learning_rate=0.02, recurrent_decay=51)


def test_runs_and_trainings_saved_without_it_are_those_of_no_decay(small_task, tmp_path):
    done = cj.train(small_task, N.GRU(7), 1, out=tmp_path / "done", **QUICK)
    path = tmp_path / "done" / "config.json"
    config = json.loads(path.read_text())
    del config["recipe"]["recurrent_decay"]
    config.pop("config_sha256", None)  # as it was before configs were sealed
    path.write_text(json.dumps(config))
    assert "recurrent_decay" not in cj.load(tmp_path / "done").recipe
    again = cj.train(small_task, N.GRU(7), 1, out=tmp_path / "done", **QUICK)
    assert torch.equal(again.network.cell.weight_hh, done.network.cell.weight_hh)
    with pytest.raises(FileExistsError, match=re.escape("another config (other recipe)")):
        cj.train(small_task, N.GRU(7), 1, out=tmp_path / "done", **{**QUICK, "recurrent_decay": 0.1})

    # a training that was interrupted after six steps, as it was written before
    recipe = replace(Recipe.for_task(small_task, N.GRU(7)), **{k: v for k, v in QUICK.items() if k != "progress"})
    half = begin(small_task, N.GRU(7), 1, recipe, tmp_path / "half", "cpu")
    fit(half, lambda t: setattr(t, "stopped", "interrupted" if t.state.step == 6 else ""))
    half.save_checkpoint()
    path = tmp_path / "half" / checkpoint.FILE
    with safe_open(path, "pt") as f:
        header, tensors = f.metadata(), {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118
    config = json.loads(header["config"])
    del config["recipe"]["recurrent_decay"], header["sha256"]
    save_file(tensors, path, metadata={**header, "config": json.dumps(config)})
    whole = cj.train(small_task, N.GRU(7), 1, out=tmp_path / "half", **QUICK)
    assert torch.equal(whole.network.cell.weight_hh, done.network.cell.weight_hh)
