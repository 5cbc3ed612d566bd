"""Search of a site, completions of a search text, and the site's search language. Wire: docs/api/search.md."""

from __future__ import annotations

import datetime
import time
from typing import Any

from msgspec import Struct

from forumapi.errors import SEARCH_TOO_LONG, Invalid, TooSlow, Unavailable
from forumapi.handlers.sites.site_setting_base import SiteSettingHandler
from forumapi.itemtypes import PROFILE, SITE
from forumapi.models.discovery import latest_items, search, search_query
from forumapi.models.discovery.search import SearchResult, Viewer
from forumapi.models.discovery.search_language import SearchLanguage
from forumapi.models.discovery.search_query import SEARCHABLE, ParsedSearch
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, OWNER, Handler, Param, needs
from forumapi.request.handler_results import Found, Page, Result
from forumapi.text import email_address
from forumapi.wire import paging
from forumapi.wire.body import UNSET, UnsetType
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import discovery as schemas

_PARAMS = (
    Param(
        "q", str, "Words, all of which must be there, and `key:value` for any of the other keys."
    ),
    Param("inTitle", bool, "Match titles only."),
    Param("type", str, "A type of item; repeats.", SEARCHABLE),
    Param("id", int, "Only this item of the types named, and comments on it; repeats."),
    Param("forumId", int, "Only in this microcosm and below it; repeats."),
    Param("authorId", int, "Only what this profile wrote."),
    Param("email", str, "Profiles by address, for the site's owner; repeats."),
    Param("following", bool, "Only what the caller watches."),
    Param("has", str, "`attachment`: only what has one.", ("attachment",)),
    Param("since", str, "Last activity later than a date, or than so many days from now."),
    Param("until", str, "Last activity earlier than that."),
    Param("eventAfter", str, "With `type=event` alone: begins later than a date."),
    Param("eventBefore", str, "With `type=event` alone: begins earlier than a date."),
    Param("attendee", bool, "With `type=event` alone: only those the caller attends."),
    Param(
        "sort",
        str,
        "`date`; with `type=event` alone also `oldest` and `newest`, by when they begin.",
        ("date", "oldest", "newest"),
    ),
)


def _viewer(ctx: Context) -> Viewer:
    identity = ctx.identity
    return search.viewer(
        ctx.site.id,
        identity.profile_id,
        ctx.tree,
        ctx.tree.view(identity.principal),
        identity.ignored_microcosms,
        identity.ignored_items,
        identity.ignored_profiles,
        identity.kinds,
    )


class SearchHandler(Handler):
    """Search of the site by words and filters; by e-mail address for its owner."""

    allow = "OPTIONS,HEAD,GET"

    @needs(ANYONE, answer=schemas.Search, paged=True, params=_PARAMS)
    def get(self, ctx: Context) -> Result:
        """The objects that match, and that the caller may read and does not ignore; of words the best match first, of
        e-mail addresses by name, else the latest active first, unless `sort` is sent.

        `ignored` in the answer lists the parts of the query that could not be used; a query without anything to search
        for has no `results`. A search for words that takes longer than this installation allows is answered with the
        objects found until then, and `partial` is true. 503 if the database cancels the query because it takes too
        long.
        """
        ctx.check_paging()
        began = time.monotonic()
        now = datetime.datetime.now(datetime.UTC)
        asked = search_query.parse(ctx.pairs, now, is_owner=ctx.identity.principal.is_site_owner)
        who = _viewer(ctx)
        document = asked.document(
            search.expanded(who.tree, who.view, asked.forum_ids), was_made=asked.is_searchable
        )
        if not asked.is_searchable:
            return Page(0, document, lambda: dumps({"query": document}))
        found = self._find(ctx, who, asked)
        paging.check(found.total, ctx.paging)
        rest = search.more(ctx.reader, who, found.hits)

        def build() -> bytes:
            items = search.entries(
                ctx.reader, ctx.app.documents, who, found.hits, rest, ctx.site.render()
            )
            page = ctx.page(items, found.total, "result")
            took = round((time.monotonic() - began) * 1000)
            return b'{"query":%b%b%b%b%b,"results":%b}' % (
                dumps(document),
                b',"timeTakenInMs":%d' % took if took else b"",
                b',"partial":true' if found.is_partial else b"",
                b',"atLeast":true' if found.is_more else b"",
                b',"forgiving":true' if found.is_forgiving else b"",
                page,
            )

        return Page(0, _stamp(ctx, who, document, found, rest), build)

    def _find(self, ctx: Context, who: Viewer, asked: ParsedSearch) -> SearchResult:
        """Search for what `asked` describes, as `who` sees the site; beyond `search_time_limit_ms` the result for words
        is partial. Raises Unavailable, code 24, if the database cancels the statement.
        """
        try:
            if asked.emails:
                sees_people = PROFILE in ctx.identity.kinds
                canonicals = [email_address.canonical(one) for one in asked.emails if sees_people]
                return search.by_email(ctx.reader, who, canonicals, ctx.paging)
            latest = latest_items.find(ctx.app.pages, ctx.reader, who, asked, ctx.paging)
            return latest or search.find(
                ctx.reader,
                who,
                asked,
                ctx.paging,
                limit_ms=ctx.app.config.search_time_limit_ms,
            )
        except TooSlow as error:
            raise Unavailable(
                "The search took too long; use a narrower query", code=SEARCH_TOO_LONG
            ) from error


def _stamp(
    ctx: Context, who: Viewer, document: dict[str, Any], found: SearchResult, rest: search.More
) -> Any:
    """Return the `stamp` of a page of results, as `Page` takes it: all that the answer's bytes depend on but the time
    that the search took.

    `who`: the caller, who sees the page; `document`: the member `query` of the answer, which repeats the search;
    `found`: the results; `rest`: what `search.more` read about them.
    """
    return (
        document,
        found.total,
        found.is_partial,
        found.is_more,
        found.is_forgiving,
        found.stamp,
        rest.stamp,
        ctx.query_string,
        who.tree.acl_version,
        who.view.stamp,
        ctx.site.version,
        ctx.site.stats if any(hit.item_type == SITE for hit in found.hits) else (),
    )


class SuggestionsHandler(Handler):
    """Completions of the last word of a search text that is being typed."""

    allow = "OPTIONS,HEAD,GET"

    @needs(ANYONE, answer=schemas.Suggestions, params=(Param("q", str, "What was typed so far."),))
    def get(self, ctx: Context) -> Result:
        """Up to ten words, of texts that the caller may read, that begin like the last word of `q`, most frequent
        first.

        Words whose beginning differs by one typing error come after them. The list is empty if the last word has fewer
        than two characters, or if `q` ends with a space or sign; some may be missing if the look-up takes longer than
        half a second.
        """
        typed = search_query.last_word(ctx.query.get("q", ""))
        found: list[str] = []
        if len(typed) >= search_query.LEAST_TYPED:
            limit_ms = min(ctx.app.config.search_time_limit_ms, 500)
            found = search.suggest(ctx.reader, _viewer(ctx), typed, limit_ms=limit_ms)
        return Page(0, found, lambda: dumps({"suggestions": found}))


class SearchLanguageBody(Struct):
    """Body of PUT /site/search: the language in which texts are to be indexed, one of those that GET lists."""

    language: str | UnsetType = UNSET


class SiteSearchHandler(SiteSettingHandler):
    """The language in which this site's texts are indexed, for its owner."""

    allow = "OPTIONS,HEAD,GET,PUT"

    @needs(OWNER, answer=schemas.SiteSearch)
    def get(self, ctx: Context) -> Result:
        """The language, the languages that can be chosen, and a flag that is true while texts are still indexed anew
        after a change.
        """
        language = SearchLanguage.find(ctx.reader, ctx.site.id)
        return Page(0, tuple(language), lambda: dumps(language.document()))

    @needs(OWNER, body=SearchLanguageBody, status=302)
    def put(self, ctx: Context, sent: SearchLanguageBody) -> Result:
        """Set the language, which new texts and searches use at once; older texts are indexed anew in the background.

        Until they are, searches try the rules of both languages. 400 for a language that GET does not list. Answers 302
        to this address.
        """
        language = sent.language
        known = SearchLanguage.find(ctx.reader, ctx.site.id).languages
        if not isinstance(language, str) or language not in known:
            raise Invalid("language", "must be one of those that GET lists")
        SearchLanguage.update(ctx.writer, ctx.author, language)
        site_id = ctx.site.id
        ctx.writer.after_commit(lambda: ctx.app.sites.forget(site_id))
        return Found(ctx.path)
