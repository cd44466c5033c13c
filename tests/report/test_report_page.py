"""The page holds together: nothing from outside, links that lead somewhere, words for each picture, names escaped."""

import base64
import itertools
import json
import re
from html.parser import HTMLParser

import pytest

import conjugacy as cj

VOID = {"meta", "link", "img", "br"}
MOST = 5 * 2**20
NASTY = "<script>alert(\"x\")</script> & 'co'"


@pytest.fixture(scope="session")
def two_page(small_runs, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "two.html"
    comparison = cj.compare(small_runs, ("state_r2", "dsa"), n_trials=8, names=["plain", NASTY], n_resamples=10)
    return comparison.report(path, verdict=False, title="A & B <i>")


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.texts, self.misnested = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.misnested.append(tag)

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def checked(path):
    """The page, after what holds for every one."""
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) <= MOST
    page = Page(text)
    assert not page.open and not page.misnested
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(set(ids)) == len(ids)
    for _, attrs in page.tags:
        for name in ("src", "href", "action", "data", "poster"):
            if name in attrs:
                assert attrs[name].startswith(("data:", "#")), attrs[name][:80]
        for name in ("for", "aria-labelledby"):
            assert name not in attrs or attrs[name] in ids
    assert all(a["href"][1:] in ids for a in page.all("a") if a["href"].startswith("#"))
    style = next(data for tag, data in page.texts if tag == "style")
    assert "url(" not in style and "@import" not in style
    assert len(page.all("h1")) == 1 and page.all("html")[0]["lang"] == "en"
    assert all(len(img["alt"]) > 10 for img in page.all("img"))
    assert all(c["aria-label"] and c["tabindex"] == "0" for c in page.all("canvas"))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    return page


def test_two(two_page):
    page = checked(two_page)
    assert len(page.all("canvas")) == 2
    sections = {attrs["id"] for attrs in page.all("section")}
    assert {"what", "latents", "scores", "training", "provenance", "methods"} <= sections
    data = json.loads(next(data for tag, data in page.texts if tag == "script" and data.startswith("{")))
    assert len(data["systems"]) == 2 and len(data["systems"][0]["paths"][0][0]) == 3


def test_what_users_name_is_text(two_page):
    raw = two_page.read_text()
    assert "<script>alert" not in raw and "<i>" not in raw
    page = Page(raw)
    assert any(NASTY in data for _, data in page.texts)
    assert any(data == "A & B <i>" for tag, data in page.texts if tag == "h1")


def test_numbers_of_figures_are_in_the_page(two_page):
    links = {a["download"]: a["href"] for a in checked(two_page).all("a") if "download" in a}
    assert {"scores.csv", "latents.csv", "training.csv"} <= set(links)
    scores = base64.b64decode(links["scores.csv"].split(",", 1)[1]).decode()
    assert scores.splitlines()[0].startswith("measure,direction,value") and len(scores.splitlines()) == 4


def test_the_same_numbers_give_the_same_page(small_runs, tmp_path):
    pages = [
        cj.compare(small_runs, "cka", n_trials=6, n_resamples=10).report(tmp_path / f"{k}.html", verdict=False)
        for k in range(2)
    ]
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_a_recording_beside_a_run(small_runs, tmp_path):
    recording = cj.simulate_spikes(small_runs[0], n_units=8, n_trials=12, n_held_out=0)
    comparison = cj.compare([small_runs[0], recording], "dsa", n_trials=8, n_resamples=10, null="auto", n_surrogates=3)
    page = checked(comparison.report(tmp_path / "recording.html", verdict=False))
    text = " ".join(data for _, data in page.texts)
    assert "No map is known of" in text and "noise" in text


@pytest.mark.parametrize("wrong", [3, ""])
def test_a_path_is_wanted(small_runs, wrong):
    with pytest.raises(TypeError, match="`path`"):
        cj.compare(small_runs, "cka", n_trials=6).report(wrong)


def test_a_folder_is_no_file(small_runs, tmp_path):
    with pytest.raises(ValueError, match="`path`: expected a file"):
        cj.compare(small_runs, "cka", n_trials=6).report(tmp_path)


@pytest.mark.slow
def test_twenty(small_task, tmp_path):
    from conjugacy import networks
    from conjugacy.training import train

    runs = [train(small_task, networks.GRU(4), seed=k, steps=2, batch_size=4, progress=False) for k in range(20)]
    comparison = cj.compare(runs, ("cka", "dsa"), n_trials=8, interval=None, progress=False)
    page = checked(comparison.report(tmp_path / "twenty.html"))
    assert len(page.all("canvas")) == 6
    assert any("Matrix of cka" in img["alt"] for img in page.all("img"))
