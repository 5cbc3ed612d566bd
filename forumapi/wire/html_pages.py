"""HTML pages of the engine itself, without resources of other origins, and without scripts but one."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from markupsafe import Markup

from forumapi import templates

_STYLE: Final = templates.render("pages/page.css")

_SELF: Final = "'self'"

TYPE: Final = "text/html; charset=utf-8"


def _script(name: str) -> str:
    return templates.source(f"pages/{name}.js") if name else ""


def _hash(text: str) -> str:
    """Return the hash of an inline text for the page's Content-Security-Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def page(name: str, site_title: Markup, *, script: str = "", **values: object) -> bytes:
    """Render a template of `templates/pages`.

    Texts stored escaped (titles, names) are `Markup`, all others are escaped.

    `script`: name of a script beside the templates, "" for none, which `headers` must get too.
    """
    return templates.render(
        f"pages/{name}.html",
        site_title=site_title,
        style=Markup(_STYLE),
        script=Markup(_script(script)),
        **values,
    ).encode()


def headers(
    form_targets: str = "", *, script: str = "", connects_to: str = ""
) -> tuple[tuple[str, str], ...]:
    """Return the headers of a page. `form_targets`: origins that its forms may lead to beside its own.

    `script`: as for `page`; `connects_to`: URLs that the script may connect to.
    """
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
