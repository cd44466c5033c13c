import json

import pytest

from conjugacy import arm, networks, tasks
from conjugacy._config import build, describe


@pytest.mark.parametrize(
    "thing",
    [
        tasks.NBitFlipFlop(2, 50, 0.1, 0.3, 5, 0.02),
        networks.GRU(5, update_bias=1.5, noise_level=0.2, ic_noise=0.1),
        networks.NoisyGRU(5),
        networks.VanillaRNN(5, gain=0.7),
        networks.LSTM(5),
        networks.LeakyRNN(5, alpha=0.3),
        networks.LowRankRNN(5, rank=2),
        networks.NODE(3, 2, 11),
    ],
)
def test_objects_come_back_equal(thing):
    again = build("thing", describe(thing), [type(thing)])
    assert type(again) is type(thing) and describe(again) == describe(thing)


def test_objects_within_objects_come_back_equal():
    skeleton = arm.TwoJointSkeleton(m2=2.0, viscosity=0.1)
    thing = arm.RigidTendonArm26(arm.ReluMuscle(tau_activation=0.02), skeleton, 0.005, 2, damping=0.1)
    again = build(
        "thing", json.loads(json.dumps(describe(thing))), [arm.RigidTendonArm26, arm.ReluMuscle, arm.TwoJointSkeleton]
    )
    assert describe(again) == describe(thing)
    assert again.muscle.tau_activation == 0.02 and again.skeleton == skeleton
    bad = describe(thing)
    bad["args"]["muscle"]["class"] = "ReluMussel"
    with pytest.raises(ValueError, match=r"^`thing\.muscle`: .* got 'ReluMussel'\. Did you mean 'ReluMuscle'\?"):
        build("thing", bad, [arm.RigidTendonArm26, arm.ReluMuscle])


def test_what_cannot_be_saved_says_why():
    class Forgetful:
        def __init__(self, size):
            pass

    class Holder:
        def __init__(self, model):
            self.model = model

    class Greedy:
        def __init__(self, **options):
            pass

    with pytest.raises(TypeError, match=r"`Forgetful`: cannot be saved, its argument `size` is not kept"):
        describe(Forgetful(3))
    with pytest.raises(TypeError, match=r"^`Holder\.model`: expected a number, .*, got object\.$"):
        describe(Holder(object()))
    with pytest.raises(TypeError, match=r"expected named arguments only, got \*options"):
        describe(Greedy())


def test_unknown_classes_and_arguments_are_refused():
    with pytest.raises(
        ValueError, match=r"^`task`: expected one of the classes NBitFlipFlop, got 'NBitFlipFlip'\. Did"
    ):
        build("task", {"class": "NBitFlipFlip", "args": {}}, [tasks.NBitFlipFlop])
    with pytest.raises(ValueError, match=r"NBitFlipFlop takes the arguments n, .*, got bits too\.$"):
        build("task", {"class": "NBitFlipFlop", "args": {"bits": 3}}, [tasks.NBitFlipFlop])
