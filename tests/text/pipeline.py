"""The two steps of rendering as one call."""

from __future__ import annotations

from collections.abc import Mapping

from forumapi.text import render

SITE = frozenset({"bikes.forum.example", "bikes.example"})
JUMP = "https://forum.example/out/"


def content(
    markdown: str,
    *,
    mentions: Mapping[str, int] | None = None,
    shorten: bool = False,
    file_host: str | None = None,
) -> render.Content:
    """`markdown` rendered; `shorten` gives each URL a short link, JUMP with k0, k1, … after it."""
    draft = render.prepare(markdown, own_hosts=SITE, file_host=file_host, jump=JUMP)
    short = {url: f"{JUMP}k{number}" for number, url in enumerate(draft.urls)} if shorten else {}
    return render.finish(draft, mentions=mentions or {}, short_links=short)


def html(markdown: str, *, mentions: Mapping[str, int] | None = None) -> str:
    """The HTML of `markdown`, without short links."""
    return content(markdown, mentions=mentions).html


def before_step_10(rendered: str) -> str:
    """`rendered` as it left the sanitiser, if it has no embeds."""
    return rendered.replace('<img class="ip" ', "<img ")
