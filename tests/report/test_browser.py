"""The page in a real browser: charts are drawn, filters and keys work, nothing is refused.

Needs Debian's chromium; skipped where there is none.
"""

import json
import re
import shutil
import subprocess

import pytest

from burnish.report.html import write_report

CHROMIUM = shutil.which("chromium")
SWITCHES = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --virtual-time-budget=3000"
)
# Runs in the page after its own scripts and leaves what it saw in an attribute of <html>.
PROBE = """
addEventListener("load", () => {
  const shown = () => [...document.querySelectorAll(".sample")].filter((s) => !s.hidden);
  const press = (key) =>
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const click = (query) => document.querySelector(query).click();
  const index = () => shown().map((s) => s.querySelector(".index").textContent).join();
  const seen = { first: index() };
  press("j"); seen.j = index();
  press("ArrowRight"); seen.right = index();
  press("k"); seen.k = index();
  click('button[data-change="newly wrong"]');
  seen.position = document.querySelector("output").textContent;
  seen.changes = [...document.querySelectorAll(".list li")].filter((i) => !i.hidden).length;
  seen.change = shown()[0].dataset.change;
  const chooser = document.querySelector("select");
  chooser.value = "=spell_backward";
  chooser.dispatchEvent(new Event("change"));
  seen.group = document.querySelector("output").textContent;
  const drawn = (plot) => plot.querySelectorAll("svg .trace, svg .bars").length > 0;
  seen.charts = [...document.querySelectorAll(".plot")].map(drawn);
  const before = getComputedStyle(document.body).backgroundColor;
  click("[data-theme-toggle]");
  seen.themes = before !== getComputedStyle(document.body).backgroundColor;
  seen.alerts = window.alerted || 0;
  document.documentElement.setAttribute("data-seen", JSON.stringify(seen));
});
window.alert = () => { window.alerted = (window.alerted || 0) + 1; };
"""


@pytest.fixture
def seen(page, tmp_path):
    """What the probe saw in the example page, and what the browser complained of."""
    index = write_report(page, tmp_path / "report")
    (tmp_path / "report" / "probe.js").write_text(PROBE)
    probe = '<script src="probe.js"></script></head>'
    index.write_text(index.read_text().replace("</head>", probe, 1))
    command = [CHROMIUM, *SWITCHES.split(), f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--enable-logging=stderr", "--dump-dom", index.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert found, done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(found[1].replace("&quot;", '"')) | {"console": console}


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_the_page_works_in_a_browser(seen, page):
    changes = [(s.before_right, s.after_right, s.group) for s in page.blocks[4].samples]
    newly_wrong = [group for before, after, group in changes if before and not after]
    assert seen == {
        "first": "Sample 1",
        "j": "Sample 2",
        "right": "Sample 3",
        "k": "Sample 2",
        "position": f"1 of {len(newly_wrong)}",
        "changes": len(newly_wrong),
        "change": "newly wrong",
        "group": f"1 of {count}" if (count := newly_wrong.count("spell_backward")) else "none",
        "charts": [True, True, True],
        "themes": True,
        "alerts": 0,
        "console": [],
    }
