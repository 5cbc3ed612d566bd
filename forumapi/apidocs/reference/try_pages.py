"""Page to send requests from: Swagger UI, as the package swagger-ui-bundle-v2 ships it, for one tag's operations."""

from __future__ import annotations

import importlib
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from markupsafe import Markup

from forumapi import templates
from forumapi.apidocs.reference.compressed_file import CompressedFile
from forumapi.apidocs.reference.reference_pages import HOME, STYLE, ReferencePages

# Path of the page to which the OAuth provider sends people back.
SIGNED_IN: Final = "signed-in"
# Swagger UI sets styles of elements, and draws its signs from data URIs.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_OWN: Final = ("search.js", "try.js")
_OF_SWAGGER: Final = ("swagger-ui-bundle.js", "oauth2-redirect.js")


@lru_cache(64)
def try_page(pages: ReferencePages, slug: str) -> CompressedFile:
    """Return the page, as HTML, for trying the operations of the tag with this `slug`; cached, in a cache large enough
    for all tags of both kinds of hosts. Raises KeyError for another slug.
    """
    document = pages.parts[slug].text().replace("<", "\\u003c")
    html = templates.render(
        "reference/try.html",
        style=Markup(STYLE),
        viewer_style=Markup(_swagger("swagger-ui.css")),
        home=HOME,
        slug=slug,
        name=pages.names[slug],
        document=Markup(document),
        has_oauth=pages.has_oauth,
        signed_in=f"{HOME}/{SIGNED_IN}",
    )
    return CompressedFile.of(html.encode())


@cache
def signed_in_page() -> CompressedFile:
    """Return the page, as HTML, that hands the OAuth provider's answer to the page that opened it."""
    html = templates.render("reference/signed_in.html", home=HOME, style=Markup(STYLE))
    return CompressedFile.of(html.encode())


@cache
def scripts() -> dict[str, CompressedFile]:
    """Return the scripts of the reference, compressed, by their names; read once a process."""
    own = {name: templates.source(f"reference/{name}") for name in _OWN}
    return {
        name: CompressedFile.of(text.encode())
        for name, text in (own | {name: _swagger(name) for name in _OF_SWAGGER}).items()
    }


def _swagger(name: str) -> str:
    folder: Path = importlib.import_module("swagger_ui_bundle").swagger_ui_path
    return (folder / name).read_text(encoding="utf-8")
