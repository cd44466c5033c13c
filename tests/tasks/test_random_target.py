import copy
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy.arm import MujocoHillMuscle, RigidTendonArm26, RigidTendonHillMuscle
from conjugacy.networks import GRU, NoisyGRU
from conjugacy.tasks import RandomTarget, validate
from conjugacy.trials import Rollout

VARIANTS = ("documented", "neuromatch", "snel")


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_variants_are_tasks(variant):
    task = RandomTarget(variant=variant)
    validate(task)
    assert (task.n_timesteps, task.dt) == (100, 0.01)
    assert (task.observation_space.shape, task.context_inputs.shape, task.action_space.shape) == ((14,), (3,), (6,))


@pytest.mark.parametrize("settings", [{}, {"variant": "neuromatch"}, {"variant": "snel", "context_noise": 0.0}])
def test_inputs_targets_and_loads_are_what_the_epochs_say(settings):
    task = RandomTarget(**settings)
    trials = task.trials(60, 3)
    starts = task.effector.hand(trials.ics[:, :2]).numpy()
    cue = 0.15 if task.variant == "snel" else 1.0
    inputs, targets, loads = (x.numpy() for x in (trials.inputs, trials.targets, trials.loads))
    for k, start in enumerate(starts):
        hold, target, reach, bump = (trials.epochs[name][k].tolist() for name in ("hold", "target", "reach", "bump"))
        assert hold == [0, reach[0]] and reach[1] == task.n_timesteps
        goal, force = inputs[k, target[0], :2], loads[k, min(bump[0], 99)]
        for t in range(task.n_timesteps):
            reaching, pushed = reach[0] <= t, bump[0] <= t < bump[1]
            shown = target[0] <= t < target[1]
            assert np.array_equal(inputs[k, t, :2], goal if shown else np.zeros(2))
            assert inputs[k, t, 2] == np.float32(cue * reaching)
            assert abs(targets[k, t] - (goal if reaching else start)).max() < 1e-6
            assert np.array_equal(loads[k, t], pushed * force)
    shown_until = trials.epochs["target"][:, 1]
    until_cue, until_end = trials.epochs["reach"][:, 0], torch.full((60,), 100)
    assert torch.equal(shown_until, until_cue if task.variant == "snel" else until_end)
    assert torch.equal(trials.inputs, trials.true_inputs)


def test_the_statistics_are_those_that_the_notebook_describes():
    n = 6000
    task = RandomTarget()
    trials = task.trials(n, 0)
    reach, bump, target = (trials.epochs[name].numpy() for name in ("reach", "bump", "target"))

    def near(count, share, of=n):
        assert abs(count - share * of) < 4.5 * math.sqrt(of * share * (1 - share))

    catch = reach[:, 0] == 100
    near(catch.sum(), 0.2)
    cue = reach[~catch, 0]
    assert cue.max() == 60 and (cue - target[~catch, 0]).min() == 5  # 0.4 s to reach, 50 ms of delay at least
    assert target[:, 0].min() == 10 and target[:, 0].max() == 29
    pushed = bump[:, 1] > bump[:, 0]
    near(pushed.sum(), 0.5)
    length = (bump[:, 1] - bump[:, 0])[pushed]
    assert (
        length.min() == 15 and length.max() == 30 and bump[:, 1].max() == 100
    )  # every bump is whole, within the trial
    force = trials.loads.norm(dim=-1).amax(1)[pushed]
    assert 5 <= force.min() < 5.1 and 9.9 < force.max() <= 10
    heading = trials.loads.sum(1)[pushed]
    near(int((heading[:, 0] > 0).sum()), 0.5, int(pushed.sum()))
    near(int((heading[:, 1] > heading[:, 0]).sum()), 0.5, int(pushed.sum()))
    # half of the bumps start within 0.4 s after the cue, and of the other half those that happen to
    lag = (bump[:, 0] - reach[:, 0])[pushed & ~catch]
    soon = ((lag >= 0) & (lag < 40)).mean()
    alone = RandomTarget(catch_prob=0, bump_prob=1)
    onset = alone.trials(n, 1).epochs["bump"][:, 0].numpy()
    anywhere = ((onset[:, None] >= cue[None, :500]) & (onset[:, None] < cue[None, :500] + 40)).mean()
    assert 0.55 < soon < 0.95 and soon > anywhere
    degrees = np.degrees(trials.ics[:, :2].numpy())
    assert degrees.min(0) == pytest.approx([30, 30], abs=0.2) and degrees.max(0) == pytest.approx([105, 125], abs=0.2)
    assert degrees.mean(0) == pytest.approx([67.5, 77.5], abs=1.5)
    assert not trials.ics[:, 2:].any()
    goals = np.degrees(task.effector.inverse(trials.inputs[:, -1, :2].double()).numpy())
    assert goals.mean(0) == pytest.approx([67.5, 77.5], abs=1.5)
    assert abs(np.corrcoef(goals[:, 0], degrees[:, 0])[0, 1]) < 0.06


@pytest.mark.parametrize(("seconds", "inside", "whole"), [(1.0, 0.44, 0.38), (3.0, 0.48, 0.46)])
def test_the_bumps_of_ctdb_fall_past_the_end_as_they_were_counted_there(seconds, inside, whole):
    trials = RandomTarget(variant="neuromatch", max_ep_duration=seconds).trials(8000, 5)
    length = (trials.epochs["bump"][:, 1] - trials.epochs["bump"][:, 0]).numpy()
    assert (length > 0).mean() == pytest.approx(inside, abs=0.02)
    assert (length >= 15).mean() == pytest.approx(whole, abs=0.02)
    assert length.max() == 29


def test_the_noise_of_the_context_is_that_of_ctdb():
    trials = RandomTarget(variant="snel").trials(300, 2)
    noise = (trials.inputs - trials.true_inputs).reshape(-1, 3)
    torch.testing.assert_close(noise.std(0), torch.full((3,), 0.05), rtol=0.02, atol=0)
    assert torch.corrcoef(noise.T).sub(torch.eye(3)).abs().max() < 0.03


def test_conditions_to_generalise_to():
    star = RandomTarget(n_directions=8, reach_distance=0.08).trials(400, 0)
    start, goal = star.targets[:, 0], star.inputs[:, -1, :2]
    torch.testing.assert_close((goal - start).norm(dim=1), torch.full((400,), 0.08), rtol=1e-4, atol=0)
    angle = torch.atan2(*(goal - start).T.flip(0)) % (2 * math.pi)
    torch.testing.assert_close(torch.cos(angle - star.conditions * math.pi / 4), torch.ones(400))
    assert set(star.conditions.tolist()) == set(range(8)) and start.std(0).max() < 1e-6
    turned = RandomTarget(rotation=40.0, catch_prob=0.0)
    trials = turned.trials(300, 0)
    start, goal, shown = trials.targets[:, 0], trials.targets[:, -1], trials.inputs[:, -1, :2]
    # a hand that is seen at the shown target is at the goal
    state = turned.plant.reset(trials.ics)
    at_goal = turned.effector.rest(turned.effector.inverse(goal.double()).float())
    torch.testing.assert_close(turned.plant._seen(at_goal, state.origin), shown, rtol=0, atol=1e-5)
    degrees = torch.rad2deg(turned.effector.inverse(shown.double()))
    assert degrees.min() > 29.9 and degrees[:, 0].max() < 105.1 and degrees[:, 1].max() < 125.1
    quick = RandomTarget(min_reach=0.3, max_reach=0.3).trials(50, 0)
    assert set(quick.epochs["reach"][:, 0].tolist()) == {70, 100}


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.05, 0.14, 0.28, 0.29, 0.47, 0.56, 0.94])
def test_delays_are_exact_and_one_step_less_in_the_variants_of_ctdb(delay):
    # MotorNet refuses several of these: their remainder by 0.01 is not 0 in floating point
    steps = round(delay / 0.01)
    ours, theirs = (RandomTarget(variant=v, vision_delay=delay, proprioception_delay=delay).plant for v in VARIANTS[:2])
    assert (ours.vision_lag, ours.proprioception_lag) == (steps, steps + 1)
    assert (theirs.vision_lag, theirs.proprioception_lag) == (max(0, steps - 1), max(0, steps - 1) + 1)


def by_hand(task, network, trials):
    """The closed loop in the words of its definition: one trial, one step at a time."""
    arm = task.effector
    hands, seen = [], []
    for k in range(len(trials)):
        state = arm.rest(trials.ics[k : k + 1, :2], trials.ics[k : k + 1, 2:])
        x = network.latent_ics[None]
        senses = [(arm.hand(state.q), arm.observe(state))]
        for t in range(trials.n_timesteps):
            vision = senses[max(0, t - round(task.vision_delay / 0.01))][0]
            felt = senses[max(0, t - 1)][1]  # MotorNet's muscles lag one step
            seen.append(torch.cat([vision, felt], -1))
            x = network.step(x, torch.cat([seen[-1], trials.inputs[k : k + 1, t]], -1))
            action = network.readout(x)
            action = torch.sigmoid(action - 2) if task.command == "sigmoid" else action
            state = arm.step(state, action, trials.loads[k : k + 1, t])
            senses.append((arm.hand(state.q), arm.observe(state)))
            hands.append(arm.hand(state.q))
    shape = (len(trials), trials.n_timesteps, -1)
    return torch.cat(hands).reshape(shape), torch.cat(seen).reshape(shape)


@pytest.mark.parametrize("settings", [{}, {"command": "clip", "vision_delay": 0.03}])
def test_a_closed_loop_is_its_definition(settings):
    task = RandomTarget(max_ep_duration=0.75, **settings)
    network = GRU(5)
    network.init_model(17, 6, seed=1)
    trials = task.trials(3, 0)
    with torch.no_grad():
        out = cj.rollout(network, task, trials)
        hand, seen = by_hand(task, network, trials)
    torch.testing.assert_close(out.outputs, hand, rtol=0, atol=2e-5)
    torch.testing.assert_close(out.observations, seen, rtol=0, atol=2e-4)
    torch.testing.assert_close(out.outputs, task.effector.hand(out.plant.q))
    assert out.plant.force.shape == (3, 75, 6) and out.actions.shape == (3, 75, 6)


def test_noise_is_off_unless_asked_for_and_repeats_with_its_seed():
    task = RandomTarget(max_ep_duration=0.75, vision_noise=0.01, action_noise=0.02)
    network = NoisyGRU(4, noise_level=0.1)
    network.init_model(17, 6)
    trials = task.trials(4, 0)

    def hand(**noise):
        with torch.no_grad():
            return cj.rollout(network, task, trials, **noise)

    quiet, noisy = hand(), hand(noise=True, seed=3)
    assert torch.equal(quiet.outputs, hand().outputs) and torch.equal(noisy.outputs, hand(noise=True, seed=3).outputs)
    assert not torch.equal(noisy.outputs, hand(noise=True, seed=4).outputs)
    for source in ("latents", "outputs", "observations", "actions"):
        assert not torch.equal(getattr(quiet, source), getattr(noisy, source))
    # the seen hand of step 0 differs by the noise alone
    first = (noisy.observations - quiet.observations)[:, 0]
    assert 0 < first[:, :2].abs().max() < 0.06 and not first[:, 2:].any()


@pytest.mark.parametrize("variant", VARIANTS[:2])
def test_the_gradient_of_the_loss_is_that_of_differences(variant):
    # float64, few steps, and commands inside (0, 1): away from the kinks of the muscles
    task = RandomTarget(variant=variant, max_ep_duration=0.75)
    network = GRU(3)
    network.init_model(17, 6, seed=2)
    network = network.double()
    with torch.no_grad():
        network.readout.bias += 0.2 if variant == "neuromatch" else 0.0
        network.readout.weight *= 0.1
    trials = task.trials(2, 1).to("cpu", dtype=torch.float64).first(12)

    def loss():
        return task.loss(cj.rollout(network, task, trials), trials)

    loss().backward()
    for parameter in (network.readout.bias, network.cell.bias_ih, network.latent_ics):
        for i in (0, len(parameter) - 1):
            values = []
            for e in (1e-6, -1e-6):
                with torch.no_grad():
                    parameter[i] += e
                    values.append(loss())
                    parameter[i] -= e
            slope = (values[0] - values[1]) / 2e-6
            assert float(parameter.grad[i]) == pytest.approx(float(slope), rel=1e-4, abs=1e-9)


def test_the_loss_is_its_formula_and_the_curriculum_is_explicit_and_finite():
    generator = torch.Generator().manual_seed(0)
    for variant in VARIANTS:
        task = RandomTarget(variant=variant)
        trials = task.trials(5, 0)
        hand = (trials.targets + 0.05 * torch.randn(trials.targets.shape, generator=generator)).requires_grad_()
        actions = torch.rand(5, 100, 6, generator=generator)
        out = Rollout(hand, hand, actions)
        e, u2 = (hand - trials.targets).norm(dim=-1), actions.square().mean()
        if variant == "documented":
            want = e.mean() + 10 * e.square().mean() + 0.01 * u2
            stages = {p: want for p in (0.0, 0.3, 1.0)}
        else:
            want = e.square().mean() / 2 + u2
            stages = {p: e[:, :k].square().mean() / 2 + u2 for p, k in ((0.0, 1), (0.1, 25), (0.4, 100), (1.0, 100))}
        torch.testing.assert_close(task.loss(out, trials), want)
        for progress, loss in stages.items():
            torch.testing.assert_close(task.training_loss(out, trials, progress), loss)
        # at the target itself, and at the very start of training, loss and gradient are finite
        still = trials.targets.clone().requires_grad_()
        task.training_loss(Rollout(still, still, actions), trials, 0.0).backward()
        assert torch.isfinite(still.grad).all()


@pytest.fixture(scope="module")
def small_run():
    arm = RigidTendonArm26(muscle=RigidTendonHillMuscle(), damping=0.1)
    task = RandomTarget(arm, max_ep_duration=0.75, vision_delay=0.02, bump_force=(1, 2))
    return cj.train(task, GRU(6), steps=3, batch_size=4, eval_every=2, progress=False)


def test_a_run_trains_saves_loads_and_repeats(small_run, tmp_path):
    run = small_run
    metrics = {"end_error", "end_error_median", "time_to_target", "hold_error", "effort", "bump_peak", "bump_rest"}
    assert {f"test_{m}" for m in metrics} < set(run.metrics) and {f"val_{m}" for m in metrics} < set(run.history)
    assert 0 < run.metrics["test_end_error"] < 1.3 and math.isfinite(run.history["loss"].iloc[0])
    assert run.network.update_bias == 0  # what the task asked for is what is saved
    loaded = cj.load(run.save(tmp_path / "run"))
    assert loaded.task.effector.damping == 0.1 and type(loaded.task.effector.muscle) is RigidTendonHillMuscle
    assert loaded.config() == run.config()
    assert loaded.config()["task"]["args"]["command"] == "sigmoid"
    trials = run.task.trials(5, 9)
    assert torch.equal(loaded.rollout(trials).outputs, run.rollout(trials).outputs)
    again = cj.train(run.task, GRU(6), recipe=cj.Recipe(**loaded.recipe), progress=False)
    pairs = zip(again.network.state_dict().values(), run.network.state_dict().values())
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_weights_that_reached_best_are_kept(small_run):
    best = small_run.history["val_end_error"].min()
    val = small_run.task.metrics(small_run.rollout("val"), small_run.trials("val"))
    assert val["end_error"] == pytest.approx(best)
    with pytest.raises(ValueError, match=r"`recipe.select`: expected one of .*, got 'end_eror'. Did you mean 'end_err"):
        cj.train(small_run.task, GRU(2), steps=1, batch_size=2, select="-end_eror", progress=False)


def test_analysis_and_system_of_a_closed_loop(small_run):
    analysis = cj.Analysis(small_run)
    assert analysis.rollout("val").plant.q.shape == (200, 75, 2) and analysis.outputs("train").shape == (800, 75, 2)
    system = analysis.system("val")
    assert system.inputs.shape == (200, 75, 17)
    # the network alone, driven by what it saw, goes where it went
    x = system.step(system.trajectories[:, 9].double(), system.inputs[:, 10].double())
    torch.testing.assert_close(x.float(), system.trajectories[:, 10], rtol=0, atol=1e-6)
    points = analysis.fixed_points(system.inputs[0, -1].tolist(), n_inits=8, progress=False)
    assert len(points.x) >= 1


def test_copies_after_a_gradient_step(small_run):
    run = small_run
    task, network = run.task, copy.deepcopy(run.network)
    trials = task.trials(3, 0)
    task.loss(cj.rollout(network, task, trials), trials).backward()
    for parameter in network.parameters():
        parameter.data -= 0.01 * parameter.grad
    other, twin = copy.deepcopy(task), copy.deepcopy(network)
    a, b = (cj.rollout(n, t, trials).outputs for n, t in ((network, task), (twin, other)))
    assert torch.equal(a, b)


def test_states_and_effectors_that_do_not_fit_are_named():
    task = RandomTarget(max_ep_duration=0.75)
    trials = task.trials(2, 0)
    network = GRU(3)
    network.init_model(17, 5)
    with pytest.raises(ValueError, match="`network`: expected 17 inputs and 6 outputs"):
        cj.rollout(network, task, trials)
    network.init_model(17, 6)
    with pytest.raises(ValueError, match="`q`: expected shoulder and elbow in"):
        cj.rollout(network, task, replace(trials, ics=trials.ics + 4))
    with pytest.raises(ValueError, match="`loads`: expected finite values, got 1 NaN"):
        loads = trials.loads.clone()
        loads[0, 0, 0] = float("nan")
        replace(trials, loads=loads)
    with pytest.raises(ValueError, match=r"`trials.inputs`: expected shape \(trial, time, input=3\)"):
        cj.rollout(network, task, replace(trials, inputs=trials.inputs[..., :2], true_inputs=trials.inputs[..., :2]))
    with pytest.raises(TypeError, match=r"`effector`: expected an arm of conjugacy\.arm or an effector of motornet"):
        RandomTarget(effector=MujocoHillMuscle())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "neuromatchh"}, "`variant`: expected one of .* Did you mean 'neuromatch'"),
        ({"shoulder_range": (30, 136)}, "`shoulder_range`: expected angles within the joint's limits, 0 to 135 "),
        ({"elbow_range": (-1, 90)}, "`elbow_range`: expected angles within the joint's limits, 0 to 155 degrees"),
        (
            {"n_directions": 8, "reach_distance": 0.6},
            "`reach_distance`: expected targets within reach, got 0.6 m: .* cannot be reached",
        ),
        ({"vision_delay": -0.01}, "`vision_delay`: expected a number in .*, got -0.01. It is a duration in seconds"),
        ({"vision_delay": 0.015}, "`vision_delay`: expected a multiple of the time step, 0.01 s, got 0.015. Try 0.02"),
        ({"proprioception_delay": 0.0333}, "`proprioception_delay`: expected a multiple of the time step"),
        ({"max_ep_duration": 0.6}, "`max_ep_duration`: expected at least 0.74 s"),
        ({"min_reach": 0.5, "max_reach": 0.4}, "`max_reach`: expected at least `min_reach`, 0.5 s, got 0.4 s"),
        ({"catch_prob": 1.5}, "`catch_prob`"),
        ({"bump_force": (10, 5)}, "`bump_force`: expected least <= greatest, got .10, 5.. They are newtons"),
        ({"bump_force": "7"}, "`bump_force`: expected a number or a pair .*, got '7'. They are newtons"),
        ({"bump_duration": (0.155, 0.3)}, "`bump_duration`: expected a multiple"),
        ({"action_noise": -1}, "`action_noise`: expected a number in"),
        ({"command": "relu"}, "`command`: expected one of 'sigmoid', 'clip'"),
        ({"act_weight": float("nan")}, "`act_weight`"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message), warnings.catch_warnings():
        warnings.simplefilter("error")
        RandomTarget(**settings)


def test_from_the_shell(tmp_path, capsys):
    from conjugacy.cli import main

    arm = ["--task.effector", "RigidTendonArm26", "--task.effector.muscle", "conjugacy.arm.ReluMuscle"]
    task = ["--task", "RandomTarget", "--task.max_ep_duration", "0.75", "--task.bump_force", "[4, 8]", *arm]
    network = ["--network", "GRU", "--network.latent_size", "3", "--recipe.steps", "1", "--recipe.batch_size", "2"]
    main(["train", *task, *network, "--out", str(tmp_path / "run"), "--progress", "false"])
    assert "test_end_error" in capsys.readouterr().out
    loaded = cj.load(tmp_path / "run")
    assert type(loaded.task.effector.muscle).__name__ == "ReluMuscle" and loaded.task.bump_force == [4, 8]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_recipe_learns_to_reach_to_within_a_centimetre(seed):
    run = cj.train(RandomTarget(), GRU(128), seed=seed, progress=False)
    assert run.metrics["test_end_error"] < 0.01
    # also where cues and bumps come as in CtDB
    theirs = RandomTarget(variant="neuromatch")
    trials = theirs.trials(500, 12345)
    assert run.task.metrics(run.rollout(trials), trials)["end_error"] < 0.01
