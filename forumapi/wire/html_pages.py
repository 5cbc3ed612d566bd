"""HTML pages that the engine itself shows (signing in, consent, unsubscribing), and their Content-Security-Policy."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import Final

from markupsafe import Markup

from forumapi import templates

_SELF: Final = "'self'"

TYPE: Final = "text/html; charset=utf-8"


@cache
def _style() -> str:
    return templates.render("pages/page.css")


def _script(name: str) -> str:
    return templates.source(f"pages/{name}.js") if name else ""


def _hash(text: str) -> str:
    """Return the source expression by which a Content-Security-Policy allows an inline style or script: the hash of its
    `text`.
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def page(name: str, site_title: Markup, *, script: str = "", **values: object) -> bytes:
    """Render the template `name` (without .html) of `templates/pages` as HTML in UTF-8, with `site_title` and `values`
    as its variables; those that are not `Markup` are escaped.

    `script`: name (without .js) of a script in the same folder to include, "" for none; give it to `headers` too.
    """
    return templates.render(
        f"pages/{name}.html",
        site_title=site_title,
        style=Markup(_style()),
        script=Markup(_script(script)),
        **values,
    ).encode()


def headers(
    form_targets: str = "", *, script: str = "", connects_to: str = ""
) -> tuple[tuple[str, str], ...]:
    """Return the headers, (name, value) each, to send with a page, which forbid all that the page does not need.

    `form_targets`: origins that forms may lead to besides the page's own, with spaces between; `script`: as for `page`;
    `connects_to`: sources that the script may connect to, with spaces between, "" for none.
    """
    scripts = f"script-src {_hash(_script(script))}; connect-src {connects_to}; " if script else ""
    policy = (
        f"default-src 'none'; style-src {_hash(_style())}; {scripts}base-uri 'none'; "
        f"form-action {' '.join(filter(None, (_SELF, form_targets)))}; frame-ancestors 'none'"
    )
    return (
        ("Content-Security-Policy", policy),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "no-referrer"),
    )
