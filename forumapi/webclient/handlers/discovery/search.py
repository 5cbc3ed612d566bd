"""Pages of search: form with results, completions of what is typed, and what was written within a day."""

from __future__ import annotations

import re
from html import unescape
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec

from forumapi.webclient.api import Failure
from forumapi.webclient.handlers.people.people import profile_named
from forumapi.webclient.typed_number import typed_number
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

# Types that the form offers, in its order.
TYPES: Final = ("conversation", "event", "poll", "comment", "huddle", "microcosm", "profile")
# Types of what is listed by its latest activity.
DATED: Final = ("conversation", "event", "poll")
# Keys of a search that the API knows and that may repeat; every other key counts once.
REPEATED: Final = ("type", "id", "forumId", "email", "has")
KEYS: Final = (
    *("q", "inTitle", "type", "id", "forumId", "authorId", "email", "following", "has"),
    *("since", "until", "eventAfter", "eventBefore", "attendee", "sort", "limit", "offset"),
)
# Results on the first page from which on no words are suggested.
ENOUGH: Final = 5
# Operator of this page's: the API knows people by their numbers.
_AUTHOR: Final = re.compile(r'(?:^|(?<=\s))author:(?:"([^"]+)"|([^\s"]+))\s*', re.I)
_LAST_WORD: Final = re.compile(r"\S+$")
JSON: Final = "application/json; charset=utf-8"


class SearchView(View):
    """Search page: the form, an explanation of its operators, and the results."""

    def get(self, visit: Visit) -> Answer:
        """Show the form, and results from the query's `offset` on if the query names anything to search for. The query
        parameter `author`, or else the operator `author:` in `q`, is looked up as a profile's name unless `authorId` is
        there; without such a profile nothing is searched. A search that took too long is answered with 503 and the
        form. Raises Failure for other refusals.
        """
        asked = _asked(visit)
        author = visit.query.get("author", "").strip()
        if not author and "authorId" not in asked:
            author = _taken_author(asked)
        unknown = ""
        if author and "authorId" not in asked:
            found = profile_named(visit, author)
            if found:
                asked["authorId"] = str(found)
            else:
                unknown = author
        elif "authorId" in asked and not author:
            author = _name_of(visit, asked["authorId"])
        answer: dict[str, Any] = {"query": {}}
        failure: Failure | None = None
        if asked and not unknown:
            try:
                answer = visit.api.get("/search", **asked)
            except Failure as refused:
                if refused.code != 24:
                    raise
                failure = refused
        results = answer.get("results")
        words = asked.get("q", "")
        few = results is not None and results["total"] < ENOUGH
        kept = [(key, value) for key, value in _pairs(visit) if key != "offset" and value]
        return visit.page(
            "search.html",
            status=503 if failure else 200,
            retry_after=failure.retry_after if failure else 0,
            q=words,
            asked=asked,
            types=asked.get("type", []),
            offered=TYPES,
            is_filtered=bool(author or set(asked) - {"q", "limit", "offset"}),
            author=author,
            unknown=unknown,
            places=visit.api.get("/microcosms/tree"),
            found=answer,
            results=results,
            failure=failure,
            suggestions=_completed(visit, words) if words and few else [],
            rest=f"&{urlencode(kept)}" if kept else "",
        )


class SuggestionsView(View):
    """Completions of the search field, for its script."""

    def get(self, visit: Visit) -> Answer:
        """Answer with a JSON list of texts: `q`, cut to 200 characters, with its last word completed in each; []
        without completions, for a `q` that is empty or ends in white space, and if the API refuses or fails to make
        any. The one refusal that raises Failure is 429, a rate limit.
        """
        found = _completed(visit, visit.query.get("q", "")[:200])
        return visit.send(msgspec.json.encode(found), JSON)


class TodayView(View):
    """Page of what was written within a day."""

    def get(self, visit: Visit) -> Answer:
        """List the conversations, events and polls with activity in the last 24 hours that the visitor may read, the
        latest first, from the query's `offset` on; the first ones if the API refuses that offset.
        """
        found = visit.listed("/search", type=DATED, since="-1", sort="date")
        return visit.page("today.html", list=found["results"], kinds=DATED)


def _pairs(visit: Visit) -> list[tuple[str, str]]:
    return parse_qsl(visit.query_string, max_num_fields=100)


def _asked(visit: Visit) -> dict[str, Any]:
    """Return the page's query parameters that the API's search knows: a list of all values for those that may come
    several times (REPEATED), the first value for others, blank values left out; {} if none of them but sort and paging
    is given.
    """
    asked: dict[str, Any] = {}
    for key, value in _pairs(visit):
        if key not in KEYS or not value.strip():
            continue
        if key in REPEATED:
            asked.setdefault(key, []).append(value)
        else:
            asked.setdefault(key, value)
    if not set(asked) - {"sort", "limit", "offset"}:
        return {}
    return asked


def _taken_author(asked: dict[str, Any]) -> str:
    """Take the first operator `author:` out of the words in `asked`; return the name that it gives, "" for none."""
    found = _AUTHOR.search(asked.get("q", ""))
    if found is None:
        return ""
    asked["q"] = f"{asked['q'][: found.start()]}{asked['q'][found.end() :]}".strip()
    if not asked["q"]:
        del asked["q"]
        # Without words the API leaves comments out unless they are named.
        asked.setdefault("type", [*DATED, "comment"])
    return found[1] or found[2]


def _name_of(visit: Visit, profile: str) -> str:
    """Return the name of the profile whose id stands in the text `profile`; the text itself if it is no id of a profile
    that the visitor may see. Raises Failure for a refusal with another status than 403 and 404.
    """
    id = typed_number(profile)
    if id is None:
        return profile
    try:
        found = visit.api.get(f"/profiles/{id}")
    except Failure as failure:
        if failure.status not in (403, 404):
            raise
        return profile
    return str(unescape(found["profileName"]))


def _completed(visit: Visit, words: str) -> list[str]:
    """Return texts that are `words` with the last word completed; [] if there are none, if `words` is empty or ends in
    white space, and if the API refuses or fails to suggest any. The one refusal that raises Failure is 429, a rate
    limit.
    """
    if not _LAST_WORD.search(words):
        return []
    try:
        found = visit.api.get("/search/suggestions", q=words)["suggestions"]
    except Failure as failure:
        if failure.status == 429:
            raise
        return []
    before = _LAST_WORD.sub("", words)
    made = [f"{before}{one}" for one in found]
    return [one for one in made if one != words]
