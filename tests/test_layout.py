"""Pages keep their shape with whatever fonts a machine has: nothing is cut, nothing runs out of its place."""

import os
from functools import cache
from pathlib import Path

import pytest
from chromium import Browser, chromium, fonts
from test_audit_page import FOUND
from test_report import TRAITS, made_up

from owlish.report import render
from owlish.report.audit import render as render_audit

FOLDERS = sorted({file.parent for file in Path("/usr/share/fonts").rglob("*.[ot]tf")})[:4]
STYLES = {
    "as it is": "",
    "all monospace": "* { font-family: monospace !important }",
    "all serif": "* { font-family: serif !important }",
    "letters apart": "* { letter-spacing: 0.06em !important }",
}
PAGES = {"study": cache(lambda: render([made_up(3)])), "audit": cache(lambda: render_audit(FOUND))}
ASK = {
    "width": "document.documentElement.scrollWidth",
    "cut": "[...document.querySelectorAll('.wide')].filter(e => e.scrollWidth > e.clientWidth).map(e => e.ariaLabel)",
    "loose": "[...document.querySelectorAll('table')].filter(e => !e.closest('.wide')).length",
    "out": """[...document.querySelectorAll('svg text')].filter(text => {
        const svg = text.closest('svg'), [a, b] = [text, svg].map(e => e.getBoundingClientRect());
        const below = b.bottom + parseFloat(getComputedStyle(svg).marginBottom);  // marks may stand in its margin
        const out = a.left < b.left - 2 || a.right > b.right + 2 || a.bottom > below + 2;
        return out && text.getClientRects().length;  // what is not shown at this width has no place
    }).map(text => text.textContent)""",
    "seen": "document.querySelectorAll('.wide, svg text').length",
}


def holds(browser: Browser, folder: Path, style: str) -> None:
    """Look at every page at four widths."""
    for name, page in PAGES.items():
        file = folder / f"{name}.html"
        text = page().replace("<details>", "<details open>").replace("</style>", f"{style}</style>")
        file.write_text(text, encoding="utf-8")
        with browser.opened(file, 1400, 900) as session:
            for width in (1400, 1200, 768, 390):
                browser.resize(width, 900, session)
                seen = {what: browser.evaluate(expression, session) for what, expression in ASK.items()}
                assert seen.pop("seen") > 10
                cut = seen.pop("cut")
                assert seen == {"width": width, "loose": 0, "out": []}, (name, width)
                assert width < 1200 or not cut, (name, width)


@pytest.fixture(autouse=True)
def _chromium() -> None:
    if chromium() is None:
        assert not os.environ.get("CI"), "Chromium is missing, and CI must have it."
        pytest.skip("Chromium is not installed.")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_with_the_fonts_of_one_folder_alone(folder: Path, tmp_path: Path) -> None:
    with Browser(fonts(tmp_path, str(folder))) as browser:
        holds(browser, tmp_path, "")


def test_with_fonts_wider_than_those_of_the_page(tmp_path: Path) -> None:
    with Browser() as browser:
        for style in STYLES.values():
            holds(browser, tmp_path, style)


def test_a_study_prints_on_four_sides(tmp_path: Path) -> None:
    file = tmp_path / "study.html"
    with Browser() as browser:
        for traits, style in ((TRAITS, ""), ((*TRAITS, *"abcdefg"), STYLES["all monospace"])):  # the least and the most
            file.write_text(render([made_up(3, traits)]).replace("</style>", f"{style}</style>"), encoding="utf-8")
            assert 2 <= browser.sides(file) <= 4
        file.write_text(render([made_up(3)]).replace("<details>", "<details open>"), encoding="utf-8")
        assert browser.sides(file) > 4, "what a reader has opened is printed too"
