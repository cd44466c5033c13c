"""fit(): from a recording and a model to a DataRun.

Adam with a one-cycle learning rate on Poisson likelihoods; short windows of trials at first, whole trials last; of the
averaged weights the best by the likelihood of validation trials are kept (`Recipe` says how).
"""

from __future__ import annotations

import copy
import math
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from conjugacy._check import check_flag, check_instance, check_int, check_options
from conjugacy._plain_torch import plain_torch
from conjugacy._progress import progress_bar
from conjugacy._threads import torch_threads
from conjugacy.models.autoencoder import SequentialAutoencoder
from conjugacy.models.spike_model import SpikeModel
from conjugacy.networks.network import Network
from conjugacy.recordings.recording import Recording
from conjugacy.recordings.spike_scores import bits_per_spike, rate_r2
from conjugacy.runs.data_run import DataRun
from conjugacy.runs.folder import as_folder, check_holds_no_more_than, finish, holds_run, read_config
from conjugacy.runs.lock import at_once, locked
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.training import checkpoint
from conjugacy.training.checkpoint import Progress
from conjugacy.training.interrupts import interrupts
from conjugacy.training.recipe import Recipe

_CHECKPOINT_SECONDS = 20.0
_SOME = 50  # steps after which something should have improved
_DEFAULTS = {"steps": 2500, "batch_size": 64, "learning_rate": 1e-2, "eval_every": 50, "short_share": 0.6}


def fit(
    recording: Recording,
    model: Network,
    seed: int = 0,
    progress: bool = True,
    *,
    out: str | Path | None = None,
    n_unseen: int = 0,
    keep_recording: bool = True,
    **settings: Any,
) -> DataRun:
    """Fit a model to spike counts.

    Parameters
    ----------
    recording : Recording
        Of counts. 70 % of its trials train, 15 % select the weights, the rest test. Held-out units are predicted, never
        seen; inputs drive the model where they are known.
    model : SequentialAutoencoder, LFADS or Network
        A network stands for a sequential autoencoder with its dynamics. It is copied.
    seed : int
        Of the split of trials, the weights and all noise. Equal seeds give equal weights.
    progress : bool
        Show a progress bar.
    out : path, optional
        Folder for the fitted model. While it is fitted a checkpoint is kept there: the same call resumes it after an
        interruption, with the weights of a fit that was not interrupted, and returns the model if it had finished.
    n_unseen : int
        The last so many of the held-out units are left out of the likelihood too: nothing is trained on them, and
        few-shot scores are of them.
    keep_recording : bool
        Whether `out` stores the recording too, see `DataRun.save`.
    **settings
        Settings of `Recipe`: steps, batch_size, learning_rate, short_timesteps (bins of the windows), ...

    Returns
    -------
    DataRun
        With the weights that are best on the validation trials. ``metrics["stopped"]`` is "steps", "interrupted" or
        "diverged".

    Raises
    ------
    TypeError, ValueError
        If the recording holds no counts or no spikes, or the model does not fit it.
    FileExistsError
        If `out` holds something else.
    """
    check_flag("progress", progress)
    check_flag("keep_recording", keep_recording)
    run = _begun(recording, model, check_int("seed", seed, 0), n_unseen, settings)
    recipe, folder = Recipe(**run.recipe), None if out is None else as_folder("out", out)
    with plain_torch(), torch_threads(1):
        if folder is None:
            return _fitted(run, recipe, None, progress)
        if not holds_run(folder):
            check_holds_no_more_than("out", folder, checkpoint.FILES)
        with locked(folder, at_once):
            if holds_run(folder):
                return _finished(run, folder)
            run = _fitted(run, recipe, folder, progress)
        if run.metrics["stopped"] != "interrupted":
            run.save(folder, keep_recording, overwrite=True)
        return run


def _finished(run: DataRun, folder: Path) -> DataRun:
    """The model in a folder, if it is the one that `run` would become."""
    wanted, there = run.config(), read_config(folder)
    others = sorted(k for k in wanted if k != "versions" and there.get(k) != wanted[k])
    if others:
        raise FileExistsError(
            f"`out`: {folder} holds a finished run of another config (other {', '.join(others)}). Name another folder."
        )
    finish(folder)
    checkpoint.delete(folder)
    return DataRun.load(folder, run.recording, [type(run.network), type(getattr(run.network, "decoder", None))])


def _begun(recording: Recording, model: Network, seed: int, n_unseen: int, settings: dict[str, Any]) -> DataRun:
    check_instance("recording", recording, Recording)
    check_instance("model", model, Network, "For example conjugacy.networks.NODE(3).")
    counts = recording.counts
    if recording.n_trials < 4:
        raise ValueError(
            f"`recording`: expected at least 4 trials, to train, select and test, got {recording.n_trials}."
        )
    if not recording.held_in:
        raise ValueError("`recording`: expected units that models may see, got held-out ones only.")
    empty = counts.sum((1, 2)) == 0
    if empty.all():
        raise ValueError("`recording`: expected spikes, got none. Are these the counts?")
    if empty.any():
        warnings.warn(f"{recording.name}: no spikes in {int(empty.sum())} of {len(empty)} trials.", stacklevel=3)
    held = recording.held_out
    n_unseen = check_int("n_unseen", n_unseen, 0, len(held), "They are some of the held-out units.")
    unseen = tuple(held[len(held) - n_unseen :])
    _check_bins(recording)
    network = model if isinstance(model, SpikeModel) else SequentialAutoencoder(model)
    network = copy.deepcopy(network)
    if network.state_size > recording.n_units:
        warnings.warn(
            f"{recording.name}: {network.state_size} states for {recording.n_units} units. No bin shows more states "
            "than units, so what the others do may be invented: see state_r2_invented of DataRun.scores().",
            stacklevel=3,
        )
    n_inputs = 1 if recording.inputs is None else recording.inputs.shape[2]
    with torch_threads(1):
        network.init_model(n_inputs, recording.n_units, derive_seed(seed, "weights"))
    check_options(settings, "fit", Recipe)
    run = DataRun(recording, network, seed, Recipe(**{**_DEFAULTS, **settings}).as_dict(), unseen=unseen)
    rows = run.rows("train")
    means = counts[rows][recording.valid[rows]].mean(0)
    network.start_at_rates(torch.from_numpy(means).float())
    return run


def _check_bins(recording: Recording) -> None:
    """Refuse trials of a single bin: no dynamics can be seen in them."""
    longest = int(recording.lengths.max())
    if longest < 2:
        raise ValueError(
            f"`recording`: expected trials of at least 2 bins, got {longest} of {recording.bin_size:g} s. Use narrower "
            "bins."
        )


def poisson_loss(log_rates: Tensor, counts: Tensor, valid: Tensor, scored: Tensor | None = None) -> Tensor:
    """Mean of r - n log r over the bins of trials, the terms of the likelihood that depend on the rates.

    With `scored` (trial, time, unit), over the counts for which that is 1.
    """
    inside = valid[..., None].to(log_rates.dtype).expand(log_rates.shape)
    if scored is not None:
        inside = inside * scored
    return ((log_rates.exp() - counts * log_rates) * inside).sum() / inside.sum().clamp_min(1)


def _fitted(run: DataRun, recipe: Recipe, folder: Path | None, progress: bool) -> DataRun:
    network = run.network
    average = copy.deepcopy(network)
    optimizer = torch.optim.Adam(network.parameters(), weight_decay=recipe.weight_decay)
    state = Progress() if folder is None else checkpoint.read(folder, run.config(), network, average, optimizer)
    data = {part: run.tensors(run.rows(part)) for part in ("train", "val")}
    trained = [i for i in range(run.recording.n_units) if i not in run.unseen]
    first = -math.inf  # of weights that are not the first
    if not state.best:  # a fit that makes things worse from its first step on ends with the weights it began with
        first = state.best_score = _score(average, data["val"], trained)
        state.best = {k: v.detach().clone() for k, v in average.state_dict().items()}
    started, saved, stopped = time.monotonic() - state.seconds, time.monotonic(), state.stopped
    label = f"Fitting {run.name} to {run.recording.name}"
    bar = progress_bar(total=recipe.steps, initial=state.step, desc=label, show=progress, unit="steps", delay=0)
    try:
        with bar, interrupts() as pressed:
            while not stopped and state.step < recipe.steps:
                loss = _gradient_step(run, recipe, data["train"], optimizer, state.step, trained)
                if not math.isfinite(loss):
                    stopped = "diverged"
                    break
                _move_average(average, network, recipe.averaging_at(state.step))
                state.step += 1
                state.seconds = time.monotonic() - started
                bar.update()
                if state.step % recipe.eval_every == 0 or state.step == recipe.steps:
                    _validate(average, data["val"], state, loss, recipe, trained)
                    bar.set_postfix_str(f"validation {-state.history[-1]['val_score']:.5f}", refresh=False)
                    if folder is not None and time.monotonic() - saved > _CHECKPOINT_SECONDS:
                        saved = time.monotonic()
                        checkpoint.write(folder, run.config(), network, average, optimizer, state)
                pressed.check()  # a step is whole once its validation is done
    except KeyboardInterrupt:
        stopped = "interrupted"
    if folder is not None:
        state.stopped = "" if stopped == "interrupted" else stopped
        checkpoint.write(folder, run.config(), network, average, optimizer, state)
    if stopped == "diverged":
        text = f"the fit of {run.name} diverged at step {state.step}: its loss was not finite."
        warnings.warn(f"{text} Its best weights so far are kept. Try a smaller learning_rate.", stacklevel=4)
    elif state.step >= _SOME and state.best_score <= first:
        warnings.warn(
            f"no step of the fit of {run.name} has improved on the weights it began with, which are kept. "
            "Try a smaller learning_rate.",
            stacklevel=4,
        )
    network.load_state_dict(state.best)
    network.eval()
    metrics = {**scores_of(run), "stopped": stopped or "steps", "steps": state.step, "seconds": round(state.seconds, 3)}
    return replace(run, history=pd.DataFrame(state.history), metrics=metrics)


def _gradient_step(
    run: DataRun, recipe: Recipe, data: tuple[Tensor, ...], optimizer: Any, step: int, trained: list[int]
) -> float:
    rng = np.random.default_rng(derive_seed(run.seed, "batch", step))
    n, t = data[0].shape[:2]
    rows = rng.choice(n, min(recipe.batch_size, n), replace=False)
    width = recipe.timesteps_at(step, t)
    start = int(rng.integers(t - width + 1))
    seen, inputs, counts, valid = (x[rows, start : start + width] for x in data)
    noise = torch.Generator().manual_seed(derive_seed(run.seed, "noise", step))
    held = torch.tensor(run.recording.held_out, dtype=torch.int64)
    out = run.network.train().infer(seen, inputs, noise)
    scored = None if out.scored is None else out.scored.index_fill(2, held, 1.0)[..., trained]
    loss = poisson_loss(out.log_rates[..., trained], counts[..., trained], valid, scored)
    if run.network.varies:
        warm = min(1.0, step / (0.5 * recipe.steps))
        per_count = valid.sum() * len(trained)
        loss = loss + warm * out.divergence.sum() / per_count
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate_at(step)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(run.network.parameters(), recipe.clip)
    value = loss.item() if bool(torch.isfinite(norm)) else math.nan
    if math.isfinite(value):
        optimizer.step()
    return value


@torch.no_grad()
def _move_average(average: Network, network: Network, share: float) -> None:
    for old, new in zip(average.parameters(), network.parameters()):
        old.lerp_(new, 1 - share)


@torch.no_grad()
def _score(network: SpikeModel, data: tuple[Tensor, ...], trained: list[int]) -> float:
    seen, inputs, counts, valid = data
    found = network.eval().infer(seen, inputs).log_rates[..., trained]
    return -float(poisson_loss(found, counts[..., trained], valid))


def _validate(
    average: SpikeModel,
    data: tuple[Tensor, ...],
    state: Progress,
    loss: float,
    recipe: Recipe,
    trained: list[int],
) -> None:
    score = _score(average, data, trained)
    if score > state.best_score:
        state.best_score = score
        state.best = {k: v.detach().clone() for k, v in average.state_dict().items()}
    row = {"step": state.step, "seconds": round(state.seconds, 3), "loss": loss, "val_score": score}
    state.history.append({**row, "learning_rate": recipe.learning_rate_at(state.step - 1)})


def scores_of(run: DataRun, part: str = "test") -> dict[str, float]:
    """Scores of a model on trials, each ceiling (the true rates' own score) beside it where the truth is known.

    "bits_per_spike" of all units, "co_bps" of held-out ones, both beyond the means of the training trials; "rate_r2".
    """
    r, rows, train = run.recording, run.rows(part), run.rows("train")
    inside = r.valid[rows]
    counts, rates = r.counts[rows][inside][None], run.expected(rows)[inside][None]
    null = r.counts[train][r.valid[train]].mean(0)
    use = ~np.isin(np.arange(r.n_units), run.unseen)
    told = np.flatnonzero((null > 0) & use)  # a unit that is silent in training has no null likelihood
    held = np.array([i for i in r.held_out if null[i] > 0 and use[i]], dtype=int)
    found = {"": rates}
    if r.truth is not None and r.truth.rates is not None:
        found["_ceiling"] = (r.truth.rates[rows] * r.bin_size)[inside][None]
    out: dict[str, float] = {}
    for suffix, q in found.items():
        for name, units in (("bits_per_spike", told), ("co_bps", held)):
            if len(units) and counts[..., units].sum() > 0:
                out[name + suffix] = bits_per_spike(q[..., units], counts[..., units], null_rates=null[units])
    if "_ceiling" in found:
        out["rate_r2"] = rate_r2(found["_ceiling"][..., use], rates[..., use])
    return out
