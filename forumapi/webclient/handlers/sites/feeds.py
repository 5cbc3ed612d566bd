"""Feeds (Atom and JSON Feed) of a site, a microcosm, an item and a profile: what a guest may read of each."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from forumapi.webclient import page_metadata, template_environment
from forumapi.webclient.page_metadata import plain
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

# Entries of a feed.
ENTRIES: Final = 25
# Entries of a microcosm's list to ask for: the second number, the most that the API gives, if too few of the first are
# items that are not sticky.
_LISTED: Final = (50, 250)
ATOM: Final = "application/atom+xml; charset=utf-8"
JSON: Final = "application/feed+json; charset=utf-8"
_ITEMS: Final = ("conversation", "event", "poll")


class FeedEntry(NamedTuple):
    """Entry of a feed: an item, or a comment. Times are texts as the API writes them, addresses whole URLs, `title` and
    `author` plain texts. `author`, `author_url`: "-" and "" without an author; `title`: of a comment, its author, and
    the title of its item if there is one. `updated`: for an item, the time of its last comment, else of its creation,
    for a poll always the latter; for a comment, that of its last edit, else of its creation; `html`: the comment, with
    whole URLs in it, "" for an item.
    """

    url: str
    title: str
    author: str
    author_url: str
    published: str
    updated: str
    html: str


class FeedDocument(NamedTuple):
    """Feed in no particular format, with its entries in the order in which they are sent: latest activity first, but
    comments on one item newest first, whenever they were edited. `page`: whole URL of the page that the feed belongs
    to; `own`: the feed's own URL without `.atom` or `.json`.
    """

    title: str
    page: str
    own: str
    entries: list[FeedEntry]

    @property
    def updated(self) -> str:
        """Latest `updated` of the entries, a time as the API writes it; 1970-01-01T00:00:00Z for a feed without
        entries.
        """
        return max(
            (one.updated for one in self.entries), key=_moment, default="1970-01-01T00:00:00Z"
        )


class FeedView(View):
    """Base class of feeds. `get` of each begins with `visit.be_guest()`: a feed reader has no session, and may show one
    answer to many people.
    """

    def send(self, visit: Visit, feed: FeedDocument, form: str) -> Answer:
        """Send a feed in the format `form`: "json" for JSON Feed, else Atom."""
        if form == "json":
            return visit.send(msgspec.json.encode(_json_feed(feed)), JSON)
        return visit.send(visit.render("feed.xml", feed=feed).encode(), ATOM)


class SiteFeedView(FeedView):
    """Feed of a site: its conversations, events and polls, latest comment first."""

    def get(self, visit: Visit, form: str) -> Answer:
        """Send the site's feed of ENTRIES (25) items at most, in the format `form`, "atom" or "json", as a guest may
        read it, latest comment first.
        """
        visit.be_guest()
        found = visit.api.get("/search", type=list(_ITEMS), sort="date", limit=ENTRIES)
        entries = [_found(visit, one) for one in found["results"]["items"]]
        page = f"{visit.base_url}/"
        return self.send(
            visit, FeedDocument(plain(visit.site["title"]), page, f"{page}feed", entries), form
        )


class MicrocosmFeedView(FeedView):
    """Feed of a microcosm: its conversations, events and polls, latest comment first; polls stand by their creation."""

    def get(self, visit: Visit, microcosm: int, form: str) -> Answer:
        """Send the feed of the microcosm with the id `microcosm`, ENTRIES (25) items at most, latest comment first,
        polls by their creation, in the format `form`, "atom" or "json". Conversations and events below the 250th entry
        of the microcosm's list, in which microcosms and sticky items come first, are left out, and polls below the 50th
        of its list of polls. Raises Failure if a guest may not read the microcosm.
        """
        visit.be_guest()
        for limit in _LISTED:
            found = visit.api.get(f"/microcosms/{microcosm}", limit=limit)
            items = [one for one in found["items"]["items"] if one["itemType"] in _ITEMS]
            others = sum(not one["item"]["meta"]["flags"]["sticky"] for one in items)
            if others >= ENTRIES or found["items"]["total"] <= limit:
                break
        page = f"{visit.base_url}/microcosms/{microcosm}/"
        entries = [_found(visit, one) for one in items]
        if "poll" in found["itemTypes"]:
            # Sticky polls stand first in the API's list too.
            polls = visit.api.get("/polls", microcosmId=microcosm, limit=_LISTED[0])["polls"]
            entries += [_found(visit, {"itemType": "poll", "item": one}) for one in polls["items"]]
        entries.sort(key=lambda one: _moment(one.updated), reverse=True)
        feed = FeedDocument(plain(found["title"]), page, f"{page}feed", entries[:ENTRIES])
        return self.send(visit, feed, form)


class ItemFeedView(FeedView):
    """Feed of a conversation, event or poll: its newest comments."""

    def get(self, visit: Visit, kind: str, item: int, form: str) -> Answer:
        """Send the feed of the item with the id `item`, its newest ENTRIES (25) comments, newest first, in the format
        `form`, "atom" or "json". `kind`: plural of the item's type, such as `events`. Raises Failure if a guest may not
        read the item.
        """
        visit.be_guest()
        path = f"/{kind}/{item}"
        found = visit.api.get(path, limit=ENTRIES)
        title = plain(found["title"])
        comments = found["comments"]["items"]
        if last := found["comments"]["maxOffset"]:
            # The last two pages: the last one alone may hold a single comment.
            newest = visit.api.get(path, limit=ENTRIES, offset=last)["comments"]["items"]
            before = last - ENTRIES
            if len(newest) < ENTRIES and before:
                comments = visit.api.get(path, limit=ENTRIES, offset=before)["comments"]["items"]
            comments = [*comments, *newest]
        page = f"{visit.base_url}{path}/"
        entries = [_comment(visit, one, title) for one in reversed(comments[-ENTRIES:])]
        return self.send(visit, FeedDocument(title, page, f"{page}feed", entries), form)


class ProfileFeedView(FeedView):
    """Feed of a profile: items and comments that the profile wrote and guests may read."""

    def get(self, visit: Visit, profile: int, form: str) -> Answer:
        """Send the feed of the profile with the id `profile`, ENTRIES (25) items and comments at most, latest activity
        first, in the format `form`, "atom" or "json". Raises Failure if a guest may not see the profile.
        """
        visit.be_guest()
        person = visit.api.get(f"/profiles/{profile}")
        found = visit.api.get(
            "/search", authorId=profile, type=[*_ITEMS, "comment"], sort="date", limit=ENTRIES
        )
        page = f"{visit.base_url}/profiles/{profile}/"
        entries = [_found(visit, one) for one in found["results"]["items"]]
        feed = FeedDocument(plain(person["profileName"]), page, f"{page}feed", entries)
        return self.send(visit, feed, form)


def _moment(time: str) -> str:
    """Return a text that sorts as the API's time `time` does: the API's texts themselves do not, as they lack zeros at
    the end of a second's fraction.
    """
    return time.removesuffix("Z")


def _found(visit: Visit, found: dict[str, Any]) -> FeedEntry:
    """Return the feed's entry of `found`: an item or comment, with its `itemType`, in a list of the API that mixes
    types, such as results of a search.
    """
    item = found["item"]
    if found["itemType"] == "comment":
        return _comment(visit, item, plain((found.get("parentItem") or {}).get("title", "")))
    last = item.get("lastComment") or {}
    created = item["meta"]["created"]
    return FeedEntry(
        f"{visit.base_url}/{found['itemType']}s/{item['id']}/",
        plain(item["title"]),
        *_author(visit, item),
        created,
        last.get("created") or created,
        "",
    )


def _comment(visit: Visit, comment: dict[str, Any], title: str) -> FeedEntry:
    name, url = _author(visit, comment)
    created = comment["meta"]["created"]
    named = visit.language.gettext("%(name)s in “%(title)s”") % {"name": name, "title": title}
    return FeedEntry(
        f"{visit.base_url}/comments/{comment['id']}/",
        named if title else name,
        name,
        url,
        created,
        comment["meta"].get("edited") or created,
        page_metadata.absolute(template_environment.content(comment.get("html")), visit.base_url),
    )


def _author(visit: Visit, thing: dict[str, Any]) -> tuple[str, str]:
    by = thing["meta"].get("createdBy")
    return (plain(by["profileName"]), f"{visit.base_url}/profiles/{by['id']}/") if by else ("-", "")


def _json_feed(feed: FeedDocument) -> dict[str, Any]:
    """Return the feed as an object of JSON Feed 1.1."""
    return {
        "version": "https://jsonfeed.org/version/1.1",
        "title": feed.title,
        "home_page_url": feed.page,
        "feed_url": f"{feed.own}.json",
        "items": [
            {
                "id": one.url,
                "url": one.url,
                "title": one.title,
                # One of the two must be there.
                **({"content_html": one.html} if one.html else {"content_text": one.title}),
                "date_published": one.published,
                "date_modified": one.updated,
                "authors": [
                    {"name": one.author, **({"url": one.author_url} if one.author_url else {})}
                ],
            }
            for one in feed.entries
        ],
    }
