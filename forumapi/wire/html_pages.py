"""HTML pages of the engine itself, without resources of other origins, and without scripts but one.

Templates hold $names, whose values are HTML already. Texts stored escaped (titles, names) go in as they are, all others
through `escape`.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

__all__ = ["escape", "headers", "notice", "page"]

_STYLE: Final = Path(__file__).with_name("html_pages.css").read_text(encoding="utf-8")

_SELF: Final = "'self'"

TYPE: Final = "text/html; charset=utf-8"


@cache
def _template(name: str) -> Template:
    source = files("forumapi.templates") / f"{name}.html"
    return Template(source.read_text(encoding="utf-8"))


@cache
def _script(name: str) -> str:
    return (files("forumapi.templates") / f"{name}.js").read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Hash an inline text for the page's Content-Security-Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def page(name: str, title: str, script: str = "", **values: str) -> bytes:
    """Fill a template; `title` and `values` are HTML. Raises KeyError for a $name without a value.

    `script` names a script beside the templates, which must be passed to `headers` too.
    """
    body = _template(name).substitute(values)
    if script:
        body += f"<script>{_script(script)}</script>\n"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    ).encode()


def notice(text: str) -> str:
    """Make an alert of an error message, which screen readers announce at once; "" for none."""
    return f'<p class="bad" role="alert">{escape(text)}</p>' if text else ""


def headers(
    form_targets: str = "", *, script: str = "", connects_to: str = ""
) -> tuple[tuple[str, str], ...]:
    """Make the headers of a page. `form_targets`: origins that its forms may lead to beside its own; `connects_to`:
    URLs that its script may connect to."""
    scripts = f"script-src {_hash(_script(script))}; connect-src {connects_to}; " if script else ""
    policy = (
        f"default-src 'none'; style-src {_hash(_STYLE)}; {scripts}base-uri 'none'; "
        f"form-action {' '.join(filter(None, (_SELF, form_targets)))}; frame-ancestors 'none'"
    )
    return (
        ("Content-Security-Policy", policy),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "no-referrer"),
    )
