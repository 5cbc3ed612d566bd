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
    """Answer with an HTML page made of the template `template` (name without .html) of `templates/pages`; `values` are
    its variables, escaped unless they are Markup.

    `headers`: further headers of the answer. `script`: name (without .js) of a script in that folder to include, "" for
    none. `targets`: origins that forms may lead to besides the page's own, `connects_to`: sources that the script may
    connect to, each a list with spaces between, "" for none.
    """
    body = html_pages.page(template, Markup(ctx.site.title), script=script, **values)
    policy = html_pages.headers(targets, script=script, connects_to=connects_to)
    return RawResponse(body, html_pages.TYPE, (*policy, *headers), status)


def message(ctx: Context, heading: str, text: str, *, status: int = 200) -> RawResponse:
    """Answer with an HTML page of a heading and a sentence (`text`), without forms. `heading`, `text`: plain text,
    which the page escapes.
    """
    return page(ctx, "message", status=status, heading=heading, text=text)


class MailedLinkHandler(Handler):
    """Base class of pages that links in mails lead to: the code in the link takes the place of an access token, and
    tokens are ignored; refusals are HTML pages too.
    """

    ignores_token = True
    takes_idempotency_key = False
    error_form = "Page"
    also_answers: ClassVar[dict[str, tuple[int, ...]]] = {"GET": (400,), "POST": (400,)}
