import re

import pytest
import torch

from conjugacy.trials import Trials


def some(n=3, t=7, i=2, o=5):
    g = torch.Generator().manual_seed(0)
    return Trials.from_tensors(
        torch.randn(n, t, i, generator=g),
        torch.randn(n, t, o, generator=g),
        conditions=torch.arange(n),
        epochs={"go": torch.tensor([[2, 7]] * n)},
    )


def test_subsets_and_cuts_keep_rows_together():
    trials = some()
    picked = trials[[2, 0]]
    assert len(picked) == 2 and picked.conditions.tolist() == [2, 0]
    assert torch.equal(picked.targets[1], trials.targets[0])
    cut = trials.first(4)
    assert cut.n_timesteps == 4 and cut.epochs["go"].tolist() == [[2, 4]] * 3
    assert torch.equal(cut.inputs, trials.inputs[:, :4])
    assert trials[1].inputs.shape == (1, 7, 2)


def test_a_mask_per_step_is_spread_over_outputs():
    mask = torch.zeros(3, 7, dtype=torch.bool)
    mask[:, 4] = True
    spread = Trials.from_tensors(torch.zeros(3, 7, 2), torch.zeros(3, 7, 5), mask=mask).mask
    assert spread.shape == (3, 7, 5) and spread[:, 4].all() and spread.sum() == 15


def test_digest_sees_every_field():
    base = some().digest()
    assert some().digest() == base
    for name in ("inputs", "targets", "mask", "true_inputs", "conditions"):
        changed = some()
        value = getattr(changed, name).clone()
        value.view(-1)[-1] = ~value.view(-1)[-1] if value.dtype == torch.bool else value.view(-1)[-1] + 1
        object.__setattr__(changed, name, value)
        assert changed.digest() != base, name
    changed = some()
    changed.epochs["go"][0, 0] = 3
    assert changed.digest() != base


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"targets": torch.zeros(3, 6, 5)}, "`targets`: expected shape (trial=3, time=7, output), got (3, 6, 5)."),
        ({"mask": torch.ones(3, 6)}, "`mask`: expected shape (trial=3, time=7), got (3, 6)."),
        ({"ics": torch.zeros(2, 4)}, "`ics`: expected shape (trial=3, state), got (2, 4)."),
        ({"loads": torch.zeros(3, 0)}, "`loads`: expected shape (trial=3, time=7, load), got (3, 0)."),
        (
            {"epochs": {"go": torch.zeros(3, 3)}},
            "`epochs['go']`: expected shape (trial=3, edge=2), got (3, 3).",
        ),
        (
            {"targets": torch.full((3, 7, 5), float("nan"))},
            "`targets`: expected finite values, got 105 NaN or infinite, the first at (0, 0, 0).",
        ),
    ],
)
def test_wrong_shapes_and_nan_are_named(fields, message):
    inputs, targets = torch.zeros(3, 7, 2), fields.pop("targets", torch.zeros(3, 7, 5))
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Trials.from_tensors(inputs, targets, **fields)


def test_the_last_step_that_counts():
    mask = torch.zeros(3, 7, dtype=torch.bool)
    mask[1, 4] = True
    trials = Trials.from_tensors(torch.zeros(3, 7, 2), torch.zeros(3, 7, 5), mask=mask)
    assert trials.last_counted_step() == 5 and trials.first(5).last_counted_step() == 5
    assert trials.first(3).last_counted_step() == 3  # nothing counts: nothing is cut


def test_a_trial_lasts_to_its_last_epoch_or_answer():
    mask = torch.ones(3, 7, dtype=torch.bool)
    mask[1, 5:], mask[2, 3:] = False, False
    epochs = {"cue": torch.tensor([[0, 2], [0, 2], [0, 2]]), "delay": torch.tensor([[2, 4], [2, 6], [0, 0]])}
    kept = {"inputs": torch.zeros(3, 7, 2), "targets": torch.zeros(3, 7, 5), "mask": mask}
    assert Trials.from_tensors(**kept, epochs=epochs).lengths.tolist() == [7, 6, 3]
    assert Trials.from_tensors(**kept).lengths.tolist() == [7, 7, 7]
