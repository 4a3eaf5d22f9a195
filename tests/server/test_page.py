"""The chat page in a real browser: keys, streaming, settings, themes, a phone's width.

Needs Debian's chromium (or the program that CHROMIUM names) and playwright; skipped without.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.served import Listening, serving

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
SIZES = [(1100, 800, "light"), (375, 740, "dark")]


@pytest.fixture
def browser() -> Any:
    """Chromium, driven by playwright."""
    if CHROMIUM is None:
        pytest.skip("no chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


def listening(folder: Path, **settings: Any) -> Iterator[str]:
    """The address of a server of its own: one that was stopped takes no more requests."""
    with serving(folder, **settings) as asked:
        one = Listening(asked)
        yield f"http://127.0.0.1:{one.server.port}/"
        one.stop()


@pytest.fixture
def url(tiny_folder: Any) -> Iterator[str]:
    """A tiny model behind a real socket."""
    yield from listening(tiny_folder("llama"), num_workers=2, draft="ngram")


@pytest.fixture
def document_url(tiny_folder: Any, document: Path) -> Iterator[str]:
    """The same with a document attached."""
    yield from listening(tiny_folder("llama"), num_workers=2, indexes=(str(document),))


@pytest.mark.parametrize(("width", "height", "scheme"), SIZES)
def test_spans_of_a_document(
    browser: Any, document_url: str, width: int, height: int, scheme: str
) -> None:
    complaints: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.on("console", lambda m: m.type in ("error", "warning") and complaints.append(m.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(document_url)
    page.locator("summary").click()
    assert page.locator("#document").input_value() == "notes"
    page.fill("#max_tokens", "5")
    page.fill("#temperature", "0")
    for document in ("notes", "llama"):
        page.select_option("#document", document)
        page.fill("#prompt", "What left?")
        page.keyboard.press("Tab")
        page.locator("#prompt").press("Enter")
        page.wait_for_selector("#state:text-is('ready')", state="attached")
    page.wait_for_selector(".turn.assistant small >> nth=1")
    spans = page.locator(".spans")
    assert spans.count() == 1  # the plain model read no document
    page.locator("#ask summary").click()  # on a phone the open settings cover what is above them
    spans.locator("summary").click()
    assert re.fullmatch(r"[1-5] spans? of the document read", spans.locator("summary").inner_text())
    assert "notes.txt, line" in spans.locator("li b").first.inner_text()
    assert "<b>" in spans.locator("ol").inner_text()  # the document's own marks stay text
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    if folder := os.environ.get("BURNISH_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/document-{scheme}.png", full_page=True)
    assert complaints == []
    page.close()


@pytest.mark.parametrize(("width", "height", "scheme"), SIZES)
def test_a_conversation(browser: Any, url: str, width: int, height: int, scheme: str) -> None:
    complaints: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.on("console", lambda m: m.type in ("error", "warning") and complaints.append(m.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
    page.locator("summary").click()
    page.fill("#max_tokens", "40")
    page.fill("#temperature", "0")
    page.fill("#prompt", "abc abc abc <b>abc</b>")
    page.keyboard.press("Enter")
    page.wait_for_selector(".turn.assistant small")
    assert page.locator(".turn.user p").inner_text() == "abc abc abc <b>abc</b>"
    assert "tokens a second" in page.locator(".turn.assistant small").inner_text()
    assert page.evaluate("document.activeElement.id") == "prompt"
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("[data-theme-toggle]").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.fill("#max_tokens", "900")
    page.fill("#temperature", "2")
    page.fill("#prompt", "long")
    page.keyboard.press("Enter")
    page.wait_for_selector(".turn.assistant >> nth=1 >> span >> nth=0")
    page.keyboard.press("Escape")
    page.wait_for_selector("#state:text-is('ready')", state="attached")
    assert page.locator(".turn.assistant small").count() == 1  # the second one was stopped
    assert complaints == []
    page.fill("#max_tokens", "1000")
    page.fill("#prompt", "a" * 2000)
    page.keyboard.press("Enter")
    page.wait_for_selector(".turn.error")
    assert "at most 1024 tokens" in page.locator(".turn.error p").inner_text()
    page.locator("#clear").click()
    assert page.locator(".turn").count() == 0
