"""Answers that are HTML pages of the engine itself (`wire/html_pages.py`), under the site's title, and the base class
of pages that mails link to.
"""

from __future__ import annotations

from typing import ClassVar

from markupsafe import Markup

from forumapi.request.context import Context
from forumapi.request.handler import Handler
from forumapi.request.handler_results import RawResponse
from forumapi.wire import html_pages


def page(
    ctx: Context,
    template: str,
    *,
    status: int = 200,
    headers: tuple[tuple[str, str], ...] = (),
    targets: str = "",
    script: str = "",
    connects_to: str = "",
    **values: object,
) -> RawResponse:
    """Answer with an HTML page made of `template`, which gets `values`.

    `headers`: further headers of the answer. `targets`, `script`, `connects_to`: what the page's
    Content-Security-Policy allows, as in `html_pages.headers`.
    """
    body = html_pages.page(template, Markup(ctx.site.title), script=script, **values)
    policy = html_pages.headers(targets, script=script, connects_to=connects_to)
    return RawResponse(body, html_pages.TYPE, (*policy, *headers), status)


def message(ctx: Context, heading: str, text: str, *, status: int = 200) -> RawResponse:
    """Answer with an HTML page of a heading and a sentence, without forms. `heading`, `text`: plain text."""
    return page(ctx, "message", status=status, heading=heading, text=text)


class MailedLinkHandler(Handler):
    """Base class of pages that links in mails lead to: the code in the link stands for a token; errors are pages."""

    ignores_token = True
    takes_idempotency_key = False
    error_form = "Page"
    also_answers: ClassVar[dict[str, tuple[int, ...]]] = {"GET": (400,), "POST": (400,)}
