"""Checks of a page in a browser: axe-core, html-validate, and the layout itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from selenium.webdriver import Chrome

from tests import services

WIDTHS: Final = (320, 768, 1280)


class Look(NamedTuple):
    """Look that a page is drawn with: media features of CSS by name."""

    name: str
    features: dict[str, str]


LIGHT: Final = Look("light", {"prefers-color-scheme": "light", "forced-colors": "none"})
DARK: Final = Look("dark", {"prefers-color-scheme": "dark", "forced-colors": "none"})
FORCED: Final = Look("forced colours", {"prefers-color-scheme": "light", "forced-colors": "active"})
LOOKS: Final = (LIGHT, DARK, FORCED)

# Rules of WCAG 2.2, A and AA, and those of axe-core for headings and landmarks, which WCAG leaves open.
_TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_RULES: Final = (
    "target-size heading-order page-has-heading-one empty-heading landmark-one-main landmark-unique region"
    " label-title-only skip-link"
)
# Rules that ask which colours a page is drawn in; the findings of all others are the same in each look.
_COLOUR_RULES: Final = "color-contrast link-in-text-block"
_AXE: Final = """
const done = arguments[arguments.length - 1];
const rules = Object.fromEntries(arguments[1].map(name => [name, {enabled: true}]));
for (const rule of arguments[0].length ? axe.getRules(arguments[0]) : []) rules[rule.ruleId] = {enabled: true};
axe.run(document, {runOnly: {type: 'rule', values: Object.keys(rules)}, rules, resultTypes: ['violations']})
  .then(found => done(found.violations.flatMap(rule => rule.nodes.map(node => {
    const why = node.failureSummary.split('\\n').slice(1).join(' ');
    return `${rule.id}: ${node.html.slice(0, 200)} ${why.slice(0, 300)}`;
  }))))
  .catch(failure => done([`axe-core: ${failure}`]));
"""
# What is wider than the window and what is smaller than 24 × 24, links within sentences excepted.
_WIDER: Final = """
const wide = document.documentElement.scrollWidth - window.innerWidth;
if (wide <= 0) return [];
return [...document.querySelectorAll('body, body *')]
  .filter(one => {
    // What scrolls by itself makes no page wider.
    for (let up = one.parentElement; up; up = up.parentElement)
      if (/auto|scroll/.test(getComputedStyle(up).overflowX)) return false;
    const box = one.getBoundingClientRect();
    return box.right > innerWidth + .5 || box.left < -.5 && box.right > 0;
  })
  .map(one => one.outerHTML.slice(0, 160)).slice(-3)
  .concat(`${wide} px too wide, ${document.styleSheets.length} stylesheets`);
"""


def checkers() -> Path:
    """Return the folder of axe-core and html-validate; without it the test is skipped."""
    found = services.PAGE_CHECKERS.found()
    if found is None:
        pytest.skip("axe-core and html-validate are not installed (`scripts/testdb prepare`)")
    return found


def draw(driver: Chrome, look: Look = LIGHT, width: int = 1280, *, media: str = "screen") -> None:
    """Draw the page so."""
    features = [{"name": name, "value": value} for name, value in look.features.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def leave(driver: Chrome) -> None:
    """Give the browser back as it was."""
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_cdp_cmd("Network.setExtraHTTPHeaders", {"headers": {}})
    driver.execute_cdp_cmd("Network.clearBrowserCookies", {})


def axe(driver: Chrome, *, is_of_colours: bool = False) -> list[str]:
    """Return what axe-core finds wrong on the page as it is drawn; by the rules about colours alone if so asked."""
    if not driver.execute_script("return !!window.axe"):
        driver.execute_script((checkers() / "axe-core" / "axe.min.js").read_text())
    driver.set_script_timeout(120)
    tags, rules = ([], _COLOUR_RULES) if is_of_colours else (_TAGS, _RULES)
    found: list[str] = driver.execute_async_script(_AXE, tags, rules.split())
    return found


def overflowing(driver: Chrome) -> list[str]:
    """Return what makes the page wider than the window, and then also which of its files the browser did not get."""
    found: list[str] = driver.execute_script(_WIDER)
    log = driver.get_log("browser") if found else ()
    return found + [one["message"] for one in log if one["source"] == "network"]


# Titles are as long as people make them, and spaces at line ends are nobody's harm. A button without a type sends its
# form, as all of ours do; a form of one field is sent by Enter, and others have their buttons elsewhere (`form=`).
_HTML_RULES: Final[dict[str, Any]] = {
    "extends": ["html-validate:standard", "html-validate:document", "html-validate:a11y"],
    "rules": {
        "long-title": "off",
        "no-trailing-whitespace": "off",
        "require-sri": "off",
        "doctype-style": "off",
        "void-style": "off",
        "no-implicit-button-type": "off",
        "wcag/h32": "off",
        "aria-label-misuse": ["error", {"allowAnyNamable": True}],
    },
}


def invalid(pages: dict[str, str], folder: Path) -> list[str]:
    """Return what html-validate finds wrong in pages by their names, written into a folder."""
    program = checkers() / "html-validate" / "bin" / "html-validate.mjs"
    for name, html in pages.items():
        (folder / name).write_text(html)
    (folder / ".htmlvalidate.json").write_text(json.dumps({"root": True, **_HTML_RULES}))
    ended = subprocess.run(
        ["node", str(program), "--formatter", "json", *pages],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        files = json.loads(ended.stdout)
    except ValueError:
        return [f"html-validate: {ended.stdout[-500:]} {ended.stderr[-500:]}"]
    lines = {name: html.splitlines() for name, html in pages.items()}
    return [
        f"{name}: {one['ruleId']}: {one['message']}: {lines[name][one['line'] - 1].strip()[:200]}"
        for file in files
        for name in (Path(file["filePath"]).name,)
        for one in file["messages"]
    ]
