import random
import re
import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, Sequence

import conjugacy as cj
from conjugacy.tasks import from_gymnasium, validate
from conjugacy.trials import Rollout


class Recall(gymnasium.Env):
    """See one of three flashes, wait for a random time, then name it at the go cue: actions 0 (wait), 1, 2, 3."""

    observation_space = Box(0, 1, (4,), np.float32)
    action_space = Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.item, self.t = int(self.np_random.integers(1, 4)), 0
        self.delay = int(self.np_random.integers(2, 6))
        return self.look(), self.info()

    def look(self):
        seen = np.zeros(4, np.float32)
        if self.t < 2:
            seen[self.item - 1] = 1
        seen[3] = self.t == 2 + self.delay
        return seen

    def info(self):
        return {"gt": self.item if self.t == 2 + self.delay else 0}

    def step(self, action):
        assert action == self.info()["gt"], "the right answers are the actions"
        self.t += 1
        return self.look(), 0.0, self.t > 2 + self.delay, False, self.info()


class Follow(gymnasium.Env):
    """Say half of what you see, once two steps have gone by. It draws from NumPy's global generator, as many do."""

    observation_space = Dict({"place": Box(-np.inf, np.inf, (2,), np.float32), "light": Discrete(2)})
    action_space = Box(-10, 10, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return self.look()

    def look(self):
        self.place = np.random.randn(2).astype(np.float32)
        return {"place": self.place, "light": random.randrange(2)}, {"answer": 0.5 * self.place} if self.t >= 2 else {}

    def step(self, action):
        self.t += 1
        seen, info = self.look()
        return seen, 0.0, False, self.t == 9, info


def test_episodes_become_trials_of_classes():
    task = from_gymnasium(Recall())
    validate(task)
    assert (task.n_timesteps, task.n_classes, task.name) == (8, 4, "Recall")
    trials = task.trials(300, 1)
    lengths = trials.mask[..., 0].sum(1)
    assert set(lengths.tolist()) == {5, 6, 7, 8}
    for seen, answers, n in zip(trials.inputs, trials.targets.argmax(-1), lengths.tolist()):
        assert seen[n:].sum() == 0 and answers[: n - 1].sum() == 0
        assert seen[n - 1].tolist() == [0, 0, 0, 1] and answers[n - 1] == 1 + seen[0].argmax()
    items = trials.inputs[:, 0, :3].sum(0)
    assert ((items - 100).abs() < 5 * (300 * 2 / 9) ** 0.5).all()


def test_episodes_become_trials_of_continuous_answers_and_other_generators_are_left_alone():
    task = from_gymnasium(Follow(), answer_key="answer", dt=0.02)
    before = random.getstate(), np.random.get_state()[1].copy()
    validate(task)
    trials = task.trials(20, 5)
    assert random.getstate() == before[0] and np.array_equal(np.random.get_state()[1], before[1])
    assert trials.inputs.shape == (20, 9, 4) and task.dt == 0.02  # light as one-hot
    place = trials.inputs[..., 2:]  # a Dict is flattened by the order of its keys: light, place
    assert not trials.mask[:, :2].any() and trials.mask[:, 2:].all()
    torch.testing.assert_close(trials.targets[:, 2:], 0.5 * place[:, 2:])
    assert len(np.unique(place[:, 0, 0])) == 20


def test_the_same_seed_gives_the_same_trials_whatever_was_done_to_the_environment():
    env = Recall()
    task = from_gymnasium(env)
    first = task.trials(10, 3).digest()
    task.trials(4, 9)
    env.reset(seed=11)
    assert task.trials(10, 3).digest() == first
    assert task.trials(10, 4).digest() != first


def test_losses_are_the_cross_entropy_or_the_squared_error():
    trials = from_gymnasium(Recall()).trials(30, 0)
    outputs = torch.randn(trials.targets.shape, generator=torch.Generator().manual_seed(0))
    counts = trials.mask[..., 0]
    want = torch.nn.functional.cross_entropy(outputs[counts], trials.targets.argmax(-1)[counts])
    classes, one_hot = (from_gymnasium(Recall(), answers=a) for a in ("classes", "one-hot"))
    torch.testing.assert_close(classes.loss(Rollout(outputs, outputs), trials), want)
    want = (outputs - trials.targets)[counts].square().mean()
    torch.testing.assert_close(one_hot.loss(Rollout(outputs, outputs), trials), want)
    assert torch.equal(classes.prediction(outputs), outputs.softmax(-1))
    assert torch.equal(one_hot.prediction(outputs), outputs)


def test_accuracy_looks_at_the_end_of_each_trial():
    task = from_gymnasium(Recall())
    trials = task.trials(200, 0)
    always_wait = torch.zeros_like(trials.targets)
    always_wait[..., 0] = 1
    rates = task.success_rate(always_wait, trials)
    n = float(trials.mask[..., 0].sum())
    assert rates["accuracy"] == 0 and rates["accuracy/steps"] == pytest.approx((n - 200) / n)
    assert set(task.success_rate(trials.targets, trials).values()) == {1.0}
    follow = from_gymnasium(Follow(), answer_key="answer")
    trials = follow.trials(50, 0)
    span = trials.targets[trials.mask].max() - trials.targets[trials.mask].min()
    assert follow.success_rate(trials.targets + 0.05 * span, trials)["accuracy"] == 1
    assert follow.success_rate(trials.targets + 0.2 * span, trials)["accuracy"] == 0


@pytest.mark.slow
def test_a_network_learns_classes():
    run = cj.train(from_gymnasium(Recall()), cj.networks.GRU(16), seed=0, steps=300, batch_size=32, progress=False)
    assert run.metrics["test_accuracy"] > 0.95 and run.metrics["test_r2"] > 0.8


def test_a_task_made_of_an_id_is_saved_and_loaded(tmp_path):
    gymnasium.register("ShelfRecall-v0", Recall)
    try:
        task = from_gymnasium("ShelfRecall-v0", n_timesteps=8)
        run = cj.train(task, cj.networks.GRU(4), seed=0, steps=2, eval_every=2, batch_size=4, progress=False)
        run.save(tmp_path / "run")
        assert cj.load(tmp_path / "run").trials("test").digest() == run.trials("test").digest()
    finally:
        del gymnasium.registry["ShelfRecall-v0"]
    with pytest.raises(ValueError, match=r"config.json: `env`: .*got 'ShelfRecall-v0', which is not registered"):
        cj.load(tmp_path / "run")
    with pytest.raises(TypeError, match=r"^`GymnasiumTask\.env`: expected a number, string, .* got Recall\."):
        cj.train(from_gymnasium(Recall()), cj.networks.GRU(4), steps=1, progress=False, out=tmp_path / "other")


class Silent(Recall):
    def info(self):
        return {"answer": 1}

    def step(self, action):
        return self.look(), 0.0, True, False, self.info()


class Wordy(Recall):
    observation_space = Sequence(Discrete(2))


class Planner(Recall):
    action_space = Dict({"left": Discrete(2)})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: from_gymnasium(3), "`env`: expected a gymnasium.Env or an id, got 3."),
        (
            lambda: from_gymnasium("os:Recall-v0"),
            "`env`: expected the id of a registered environment, got 'os:Recall-v0'. Import its module first.",
        ),
        (
            lambda: from_gymnasium(Recall(), env_args={"a": 1}),
            "`env_args`: expected None with an environment that is made already, got {'a': 1}. Drop them.",
        ),
        (
            lambda: from_gymnasium(Recall(), answers="logits"),
            "`answers`: expected one of 'classes', 'one-hot', got 'logits'.",
        ),
        (
            lambda: from_gymnasium(Silent()),
            "`env`: Silent gives no right answer: expected info['gt'] of reset and step, beside the observation it "
            "answers, got the keys ['answer']. Name another `answer_key`.",
        ),
        (
            lambda: from_gymnasium(Wordy()),
            "`env`: expected observations of a fixed size, got Sequence(",
        ),
        (
            lambda: from_gymnasium(Planner()),
            "`env`: expected actions in a Discrete or a Box space, got Dict('left': Discrete(2)). "
            "Wrap the environment so that it has one of them.",
        ),
        (
            lambda: from_gymnasium(Recall(), n_timesteps=4).trials(1, 0),
            "`n_timesteps`: expected the length of a trial of Recall, got 4; 100 trials were longer, the last one had ",
        ),
    ],
)
def test_what_is_no_task_is_named(make, message):
    with pytest.raises((TypeError, ValueError), match=f"^{re.escape(message)}"):
        make()


def test_longer_trials_are_drawn_again():
    task = from_gymnasium(Recall(), n_timesteps=6)
    assert set(task.trials(100, 0).mask[..., 0].sum(1).tolist()) == {5, 6}


NEUROGYM = {
    "PerceptualDecisionMaking-v0": 3,
    "ContextDecisionMaking-v0": 3,
    "DelayComparison-v0": 3,
    "GoNogo-v0": 2,
    "ReadySetGo-v0": 2,
    "ReachingDelayResponse-v0": None,
}

RAGGED = ("ContextDecisionMaking-v0", "ReadySetGo-v0", "ReachingDelayResponse-v0")


@pytest.fixture(params=NEUROGYM)
def neurogym_task(request):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own: deprecations, metadata of gymnasium
        pytest.importorskip("neurogym")
        return from_gymnasium(request.param), NEUROGYM[request.param]


def test_neurogym_tasks_are_valid_and_give_neurogyms_own_trials(neurogym_task):
    task, n_classes = neurogym_task
    validate(task)
    assert task.n_classes == n_classes
    trials = task.trials(30, 2)
    assert trials.digest() == task.trials(30, 2).digest()
    # the same trials, drawn from neurogym by hand
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = gymnasium.make(task.name, disable_env_checker=True)
    assert env.unwrapped.dt / 1000 == task.dt
    word = int(np.random.SeedSequence(2).generate_state(1)[0]) >> 1
    env.unwrapped.seed(word)
    env.reset(seed=word)
    ragged = set()
    for k in range(30):
        env.unwrapped.new_trial()
        while len(env.unwrapped.ob) > task.n_timesteps:
            env.unwrapped.new_trial()
        n = len(env.unwrapped.ob)
        ragged.add(n)
        np.testing.assert_allclose(trials.inputs[k, :n], env.unwrapped.ob, rtol=1e-6)
        answers = trials.targets[k, :n].argmax(-1) if n_classes else trials.targets[k, :n]
        np.testing.assert_allclose(answers, env.unwrapped.gt, rtol=1e-6)
        assert trials.mask[k, :n].all() and not trials.mask[k, n:].any() and not trials.inputs[k, n:].any()
        for name, start in env.unwrapped.start_ind.items():
            assert trials.epochs[name][k].tolist() == [start, env.unwrapped.end_ind[name]]
    assert (len(ragged) > 1) == (task.name in RAGGED)


def test_a_neurogym_environment_that_is_made_is_a_task_too():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("neurogym")
        env = gymnasium.make("PerceptualDecisionMaking-v0", disable_env_checker=True, dt=50)
        task = from_gymnasium(env)
    assert task.dt == 0.05 and "stimulus" in task.trials(3, 0).epochs


def test_a_neurogym_environment_without_right_answers_is_named():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("neurogym")
        with pytest.raises(ValueError, match=r"^`env`: Bandit-v0 has no ground truth"):
            from_gymnasium("Bandit-v0")
