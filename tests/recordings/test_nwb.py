"""NWB files, written by the test and read back."""

import datetime
import time

import numpy as np
import pytest

import conjugacy as cj
from conjugacy.recordings import nwb_contents

pynwb = pytest.importorskip("pynwb", reason="pynwb is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")


def write(path, times, starts, stops, labels, angle_dt=None, span=100.0):
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    file = pynwb.NWBFile(session_description="made by a test", identifier="x", session_start_time=now)
    file.add_unit_column("location", "region")
    for u, t in enumerate(times):
        file.add_unit(spike_times=t, location="m1" if u % 2 else "s1")
    file.add_trial_column("target", "condition")
    for a, b, c in zip(starts, stops, labels):
        file.add_trial(start_time=a, stop_time=b, target=c)
    if angle_dt:
        t = np.arange(0, span, angle_dt)
        series = pynwb.TimeSeries(
            name="angle", data=np.mod(t, 2 * np.pi), unit="rad", rate=1 / angle_dt, starting_time=0.0
        )
        file.create_processing_module("behavior", "x").add(series)
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(file)


def test_a_file_is_read_by_name(tmp_path):
    rng = np.random.default_rng(0)
    times = [np.sort(rng.uniform(0, 100, 400)) for _ in range(3)]
    starts = np.arange(5.0, 95.0, 10.0)
    write(tmp_path / "a.nwb", times, starts, starts + 3, ["l", "r"] * 4 + ["l"], 0.02)
    text = str(nwb_contents(tmp_path / "a.nwb"))
    assert "3 units, 1200 spikes" in text and "target" in text and 'behaviour "angle"' in text
    read = cj.Recording.from_nwb(
        tmp_path / "a.nwb", 0.1, window=(-1, 2), condition="target", behaviour=["angle"], circular=["angle"]
    )
    plain = cj.Recording.from_spikes(times, starts, (-1, 2), 0.1)
    np.testing.assert_array_equal(read.values, plain.values)
    assert read.regions == ("s1", "m1", "s1") and read.conditions.tolist()[:2] == ["l", "r"]
    wanted = np.mod(starts[:, None] + read.times, 2 * np.pi)
    np.testing.assert_allclose(read.behaviour_at("angle")[..., 0], wanted, atol=1e-6)
    assert cj.Recording.from_nwb(tmp_path / "a.nwb", 0.1).lengths.tolist() == [30] * 9
    with pytest.raises(ValueError, match="The file holds 3 units"):
        cj.Recording.from_nwb(tmp_path / "a.nwb")
    with pytest.raises(ValueError, match="`condition`|target"):
        cj.Recording.from_nwb(tmp_path / "a.nwb", 0.1, condition="tarket")
    (tmp_path / "b.nwb").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="expected an NWB file"):
        cj.Recording.from_nwb(tmp_path / "b.nwb", 0.1)


def test_bins_are_those_of_pynapple():
    nap = pytest.importorskip("pynapple", reason="pynapple is not installed")
    rng = np.random.default_rng(0)
    times = {u: np.sort(rng.uniform(0, 100, 300)) for u in range(3)}
    group = nap.TsGroup({u: nap.Ts(t) for u, t in times.items()})
    events = np.array([10.0, 20.0, 35.0])
    ours = cj.Recording.from_spikes(group, events, (-1.0, 2.0), 0.1)
    for k, event in enumerate(events):
        theirs = group.count(0.1, nap.IntervalSet(event - 1, event + 2)).values
        np.testing.assert_array_equal(ours.values[k], theirs)


@pytest.mark.slow
def test_an_hour_of_200_units_becomes_averages_in_seconds(tmp_path):
    resource = pytest.importorskip("resource")  # not on Windows
    rng = np.random.default_rng(0)
    times = [np.sort(rng.uniform(0, 3600, 36000)) for _ in range(200)]
    starts = np.arange(2.0, 3590.0, 3.58)[:1000]
    write(tmp_path / "a.nwb", times, starts, starts + 1, [i % 8 for i in range(len(starts))])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    clock = time.process_time()
    read = cj.Recording.from_nwb(tmp_path / "a.nwb", 0.01, window=(-0.5, 1.0), condition="target")
    means = read.smooth(0.025).average()
    assert means.values.shape == (8, 150, 200)
    assert time.process_time() - clock < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2_000_000
