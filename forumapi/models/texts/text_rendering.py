"""Rendering of Markdown into HTML with the look-ups that it needs: profile names and short links (content 11).

The only module where the pure pipeline of `text/` meets the database. Call `prepare`, the longer half, before any row
is locked; and `finish`, which locks links, after items are locked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import unescape
from typing import Final, NamedTuple

from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.errors import OUT_OF_RANGE, WRONG_TYPE, Invalid
from forumapi.models.sites.site import Site
from forumapi.models.texts import short_link
from forumapi.permissions.evaluator import GUEST_CALLER, Tree
from forumapi.text import render, short_text_cleaning

MAX_MARKDOWN = 50_000

NAMES = Query(
    "text_rendering.names",
    """
    SELECT DISTINCT ON (lower(p.profile_name)) lower(p.profile_name), p.profile_id
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND lower(p.profile_name) = ANY(%(names)s::text[])
     ORDER BY lower(p.profile_name), p.profile_id""",
)


class RenderedText(NamedTuple):
    """HTML of a comment; `mentioned`: ids of the profiles that it mentions; `link_ids`: ids of its short links."""

    html: str
    mentioned: tuple[int, ...]
    link_ids: list[int]


class PreparedText(NamedTuple):
    """Comment that is rendered except for its mentions and links, as `draft`. `names`: ids of the profiles that it may
    mention, by profile name in lower case.

    `short_links`: address that codes of short links are appended to, ending in `/out/`.
    """

    draft: render.RenderDraft
    names: dict[str, int]
    short_links: str


NOTHING: Final = RenderedText("", (), [])


def prepare(
    tx: Reader,
    site: Site,
    source: str,
    *,
    short_links: str,
    limit: int | None = render.MAX_SOURCE,
) -> PreparedText:
    """Render the Markdown `source` up to the steps that depend on where the comment stands, which `finish` takes.

    `site`: the comment's site, whose profiles it can mention and whose own addresses get no short links; `short_links`:
    address that codes of short links are appended to; `limit`: greatest number of characters, None for no limit. Raises
    ValueError for a longer text.
    """
    hosts = frozenset(host for host in (site.host, site.domain) if host)
    draft = render.prepare(
        source,
        own_hosts=hosts,
        file_host=site.host if site.domain else None,
        jump=short_links,
        limit=limit,
    )
    names: dict[str, int] = {}
    if draft.mention_names:
        names = dict(tx.rows(NAMES, site_id=site.id, names=sorted(draft.mention_names)))
    return PreparedText(draft, names, short_links)


def finish(
    tx: Reader, prepared: PreparedText, tree: Callable[[], Tree], microcosm_id: int | None
) -> RenderedText:
    """Finish a prepared comment for the place where it stands. `microcosm_id`: the place's id in `tree`, 0 for a
    profile, None for a huddle; `tree` is called only if the comment has links.

    Links are shortened, and new ones stored, only on profiles and in microcosms that guests may read, since a short
    link leads everybody to its address.
    """
    draft, names, base = prepared
    short: dict[str, short_link.ShortLink] = {}
    if draft.urls:
        if microcosm_id == 0 or microcosm_id in tree().view(GUEST_CALLER).set:
            short = short_link.shorten(tx, draft.urls, base)
        else:
            short = short_link.unshortened(draft.urls)
    content = render.finish(
        draft, mentions=names, short_links={url: one.url for url, one in short.items()}
    )
    ids = [short[url].id for url in content.urls if short[url].id]
    return RenderedText(content.html, content.mentioned, ids)


def render_many(
    tx: Reader,
    site: Site,
    sources: Sequence[tuple[str, int | None]],
    tree: Tree,
    *,
    short_links: str,
    makes_links: bool = True,
) -> list[RenderedText]:
    """Render imported comments, of any length, in two statements at most, three after a collision of codes; the results
    are in the order of `sources`: Markdown and place of each, the place as in `finish`, `short_links` as in `prepare`.

    `makes_links` False: links that have no code yet stay as they are, and nothing is written.
    """
    hosts = frozenset(host for host in (site.host, site.domain) if host)
    file_host = site.host if site.domain else None
    drafts = [
        render.prepare(source, own_hosts=hosts, file_host=file_host, jump=short_links, limit=None)
        for source, _ in sources
    ]
    wanted = {name for draft in drafts for name in draft.mention_names}
    names: dict[str, int] = {}
    if wanted:
        names = dict(tx.rows(NAMES, site_id=site.id, names=sorted(wanted)))
    guests = tree.view(GUEST_CALLER).set
    is_open = [place == 0 or place in guests for _, place in sources]
    urls = [
        url for draft, shown in zip(drafts, is_open, strict=True) if shown for url in draft.urls
    ]
    shorten = short_link.shorten if makes_links else short_link.known
    public = shorten(tx, list(dict.fromkeys(urls)), short_links) if urls else {}
    rendered = []
    for draft, shown in zip(drafts, is_open, strict=True):
        short = public if shown else short_link.unshortened(draft.urls)
        content = render.finish(
            draft,
            mentions=names,
            short_links={url: short[url].url for url in draft.urls if url in short},
        )
        ids = [short[url].id for url in content.urls if short[url].id]
        rendered.append(RenderedText(content.html, content.mentioned, ids))
    return rendered


def preview(tx: Reader, site: Site, source: str, *, short_links: str) -> str:
    """Return the HTML of the Markdown `source`, which is not stored, as `prepare` and `finish` make it, but with links
    that are not shortened. `short_links` as in `prepare`. Raises ValueError for a text over `render.MAX_SOURCE`
    characters.
    """
    draft, names, _ = prepare(tx, site, source, short_links=short_links)
    links = {url: one.url for url, one in short_link.unshortened(draft.urls).items()}
    return render.finish(draft, mentions=names, short_links=links).html


STORE = Query(
    "text_rendering.store",
    """
    UPDATE comments c
       SET html = %(html)s, renderer = %(renderer)s, version = c.version + 1
     WHERE c.site_id = %(site_id)s AND c.comment_id = %(id)s AND c.markdown = %(markdown)s
 RETURNING c.version""",
)


def rerender(
    tx: Reader,
    site: Site,
    tree: Callable[[], Tree],
    microcosm_id: int | None,
    comment_id: int,
    source: str,
    *,
    short_links: str,
) -> tuple[int, str]:
    """Render a comment that an earlier version of the pipeline rendered, and store its HTML; return (the comment's new
    version, HTML) (C-36).

    Nobody is notified. If the comment was edited meanwhile nothing is stored and the returned version is 0, so that
    caches drop the comment. `source`: its stored Markdown; `short_links` as in `prepare`, `tree` and `microcosm_id` as
    in `finish`.
    """
    # An imported text may be longer than a typed one.
    prepared = prepare(tx, site, source, short_links=short_links, limit=None)
    rendered = finish(tx, prepared, tree, microcosm_id)
    version = tx.value(
        STORE,
        site_id=site.id,
        id=comment_id,
        html=rendered.html,
        markdown=source,
        renderer=render.RENDERER_VERSION,
    )
    return version or 0, rendered.html


def title(value: object, field: str, limit: int, *, quiet: bool = True) -> str:
    """Return `value` as a required line of text: without tags, line breaks and unprintable characters, and HTML-escaped
    (content 1.7). `quiet`: a text all in capitals is put into small letters.

    Raises Invalid, which names `field`, if it is no string, or if what is left is empty or over `limit` characters,
    counted before the escaping.
    """
    if not isinstance(value, str):
        raise Invalid(field, "is required")
    cleaned = short_text_cleaning.sentence(value, quiet=quiet)
    return _checked(cleaned, field, limit)


def kept_title(value: object, field: str, limit: int, now: str, *, quiet: bool = True) -> str:
    """Return `value` as `title` does, to replace the stored title `now`; if both are the same text apart from HTML
    escapes, return `now`, even over the limit, as an imported title may be. `field`, `limit`, `quiet`, and Invalid
    raised: as in `title`.
    """
    if isinstance(value, str) and unescape(value) == unescape(now):
        return now
    return title(value, field, limit, quiet=quiet)


def block(value: object, field: str, limit: int) -> str:
    """Return `value` as a required text of several lines: trimmed, without tags and unprintable characters, in small
    letters if it is all in capitals, and HTML-escaped. Raises Invalid, which names `field`, if it is no string, or if
    what is left is empty or over `limit` characters, counted before the escaping.
    """
    if not isinstance(value, str):
        raise Invalid(field, "is required")
    return _checked(short_text_cleaning.block(value), field, limit)


def _checked(cleaned: str, field: str, limit: int) -> str:
    if not cleaned:
        raise Invalid(field, "may not be empty")
    if short_text_cleaning.length(cleaned) > limit:
        raise Invalid(field, f"may have at most {limit} characters", code=OUT_OF_RANGE)
    return cleaned


def source(value: object) -> str:
    """Return `value` unchanged, as a comment's Markdown. Raises Invalid if it is no string, blank or over MAX_MARKDOWN
    characters.
    """
    if not isinstance(value, str):
        raise Invalid("markdown", "is required", code=WRONG_TYPE if value is not None else 0)
    if not value.strip():
        raise Invalid("markdown", "may not be empty")
    if len(value) > MAX_MARKDOWN:
        raise Invalid("markdown", f"may have at most {MAX_MARKDOWN} characters", code=OUT_OF_RANGE)
    return value
