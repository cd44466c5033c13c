"""The page in a browser: nothing is asked of a network, nothing goes wrong, panels turn together, axe finds nothing.

The page is opened from a copy to which a script of the test was added; its findings are read from the page's text. Set
CONJUGACY_TEST_PICTURES to a folder to keep screenshots.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

import conjugacy as cj

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium: install the system's package chromium"),
]
PROBE = """
<script>
(async function () {
  var found = { errors: [] };
  window.addEventListener("error", function (e) { found.errors.push(String(e.message)); });
  var panels = Array.from(document.querySelectorAll("canvas"));
  var look = function () { return panels.map(c => c.toDataURL()); };
  var before = look();
  panels[0].dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
  var turned = look();
  panels[0].dispatchEvent(new KeyboardEvent("keydown", { key: "0", bubbles: true }));
  var back = look();
  found.turned = before.map((x, k) => x !== turned[k]);
  found.back = before.map((x, k) => x === back[k]);
  found.empty = before.some(x => x.length < 2000);
  found.requests = performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:"));
  found.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  found.links = Array.from(document.querySelectorAll("a[href^='#']")).every(a => document.querySelector(a.hash));
  if (window.axe) { found.axe = (await axe.run()).violations.map(v => [v.id, v.impact, v.nodes[0].html]); }
  var out = document.createElement("pre"); out.id = "found"; out.textContent = JSON.stringify(found);
  document.body.appendChild(out);
})();
</script>
"""


@pytest.fixture(scope="module")
def page(small_runs, tmp_path_factory):
    comparison = cj.compare(small_runs, ("state_r2", "dsa"), n_trials=8, n_resamples=10)
    return comparison.report(tmp_path_factory.mktemp("browser") / "report.html", verdict=False)


def browse(page, *flags, width=1100, script=PROBE):
    """What the script found in the page, and what the console said."""
    copy = page.with_name("probed.html")
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", script + "</body>"), encoding="utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += [
        f"--user-data-dir={page.parent / 'profile'}",
        "--virtual-time-budget=10000",
        f"--window-size={width},900",
    ]
    done = subprocess.run([*command, *flags, "--dump-dom", copy.as_uri()], capture_output=True, text=True, timeout=120)
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.S)
    assert found, done.stderr[-2000:]
    return json.loads(unescape(found[1])), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("width", [1100, 500])
def test_it_turns_and_asks_for_nothing(page, width):
    found, console = browse(page, width=width)
    assert found["errors"] == [] and console == []
    assert found["requests"] == []
    assert found["turned"] == [True, True] and found["back"] == [True, True] and not found["empty"]
    assert found["links"] and found["wide"] <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page, scheme):
    known = importlib.util.find_spec("axe_playwright_python")
    files = list(Path(known.origin).parent.rglob("axe*.js")) if known and known.origin else []
    if not files:
        pytest.skip("no axe-core: install axe-playwright-python, which brings it as a file")
    axe = f"<script>{files[0].read_text(encoding='utf-8').replace('</script', '<' + chr(92) + '/script')}</script>"
    flags = [f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"]
    found, _ = browse(page, *flags, script=axe + PROBE)
    assert found["axe"] == []


def test_pictures(page):
    folder = Path(os.environ.get("CONJUGACY_TEST_PICTURES", page.parent))
    folder.mkdir(parents=True, exist_ok=True)
    for name, flags in (
        ("desktop", ["--window-size=1100,1600"]),
        ("phone", ["--window-size=500,1000"]),
        ("dark", ["--window-size=1100,1600", "--blink-settings=preferredColorScheme=0"]),
    ):
        picture = folder / f"report_{name}.png"
        command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={page.parent / 'profile'}"]
        subprocess.run([*command, *flags, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True)
        assert picture.stat().st_size > 20_000
