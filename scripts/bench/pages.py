"""Table of the pages that are timed, with the caller of each and its targets."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Targets:
    """Targets of a page; None where there is none."""

    share: float | None = None
    """Of the floor's requests per CPU-second of the web process, at least."""
    cpu_ms: float | None = None
    """CPU of web, PostgreSQL and memcached together for one request, at most."""
    times_first: float | None = None
    """CPU of all three, at most so many times that of the page named in `first`."""
    first: str = ""
    rate: float | None = None
    """Requests a second of one worker, at least."""
    p99_ms: float | None = 50.0
    p99_l_ms: float | None = None
    """The same at size L, where it is another."""
    statements: float | None = None
    """PostgreSQL round trips of a warm request, at most (docs/architecture.md, the read path)."""
    cache_trips: float | None = None


@dataclass(frozen=True)
class Page:
    """Line of the table: a page that is timed. `name`: what --only and --profile take."""

    name: str
    who: str
    title: str
    targets: Targets
    method: str = "GET"
    status: int = 200
    offered: str = ""
    """The page of whose measured maximum OFFERED_SHARE is offered; "": as much as comes back."""
    is_website: bool = False
    """A page of the website, whose CPU is that of its calls of the API too."""

    def at(self, size: str) -> Page:
        """Return the same page with its targets for a data set of this size."""
        if size != "L" or self.targets.p99_l_ms is None:
            return self
        return replace(self, targets=replace(self.targets, p99_ms=self.targets.p99_l_ms))


OFFERED_SHARE = 0.6
GUEST, MEMBER, IGNORER, POSTERS = "guest", "member", "ignorer", "posters"

# The shares of the item's first step; SHARE_LATER is where the pages of lists are to come to.
SHARE_LATER = 0.30

PAGES = (
    Page("guest-site", GUEST, "site", Targets(0.65, 0.35, statements=0, cache_trips=1)),
    Page("guest-permission", GUEST, "permission", Targets(0.40, 0.6, statements=1, cache_trips=1)),
    Page("guest-front", GUEST, "front page", Targets(0.30, 1.5, statements=2, cache_trips=1)),
    Page(
        "guest-microcosm", GUEST, "microcosm page", Targets(0.30, 1.5, statements=2, cache_trips=1)
    ),
    Page("guest-microcosm-deep", GUEST, "  of 10,000 items", Targets(statements=2, cache_trips=1)),
    Page(
        "guest-microcosm-last",
        GUEST,
        "  its deepest page",
        Targets(times_first=1.2, first="guest-microcosm-deep", statements=2, cache_trips=1),
    ),
    Page(
        "guest-conversation",
        GUEST,
        "conversation page",
        Targets(0.30, 1.5, statements=2, cache_trips=1),
    ),
    Page(
        "guest-thread-last",
        GUEST,
        "  last of longest",
        Targets(times_first=1.2, first="guest-conversation", statements=2, cache_trips=1),
    ),
    Page("guest-comment", GUEST, "single comment", Targets(statements=1, cache_trips=1)),
    Page("whoami", MEMBER, "whoami", Targets(0.40, 0.6, statements=1, cache_trips=1)),
    Page("site", MEMBER, "site", Targets(0.40, 0.6, statements=1, cache_trips=1)),
    Page("permission", MEMBER, "permission", Targets(0.40, 0.6, statements=1, cache_trips=1)),
    Page("front", MEMBER, "front page", Targets(0.20, 1.5, statements=3, cache_trips=1)),
    Page("microcosm", MEMBER, "microcosm page", Targets(0.20, 1.5, statements=3, cache_trips=1)),
    Page("microcosm-deep", MEMBER, "  of 10,000 items", Targets(statements=3, cache_trips=1)),
    Page(
        "microcosm-last",
        MEMBER,
        "  its deepest page",
        Targets(times_first=1.2, first="microcosm-deep", statements=3, cache_trips=1),
    ),
    Page(
        "conversation", MEMBER, "conversation page", Targets(0.20, 1.5, statements=3, cache_trips=1)
    ),
    Page(
        "thread-last",
        MEMBER,
        "  last of longest",
        Targets(times_first=1.2, first="conversation", statements=3, cache_trips=1),
    ),
    Page(
        "thread-last-ignored",
        IGNORER,
        "  3 authors ignored",
        Targets(times_first=1.2, first="conversation", statements=3, cache_trips=1),
    ),
    Page(
        "thread-last-hidden",
        MEMBER,
        "  5 % hidden",
        Targets(times_first=1.2, first="conversation", statements=3, cache_trips=1),
    ),
    *(
        Page(
            kind,
            MEMBER,
            f"{kind} page",
            Targets(cpu_ms=1.5, times_first=1.1, first="conversation", statements=3, cache_trips=1),
        )
        for kind in ("event", "poll", "huddle")
    ),
    Page("comment", MEMBER, "single comment", Targets(statements=2, cache_trips=1)),
    Page("huddles", MEMBER, "own huddles", Targets(statements=3, cache_trips=1)),
    Page("profiles", MEMBER, "people", Targets(statements=3, cache_trips=1)),
    *(
        Page(name, MEMBER, title, Targets(p99_ms=p99, statements=3, cache_trips=1), offered=offered)
        for kind in ("updates", "watchers", "trending")
        for name, title, p99, offered in (
            (kind, kind, None, ""),
            (f"{kind}-offered", "  at 60 % of that", 50.0, kind),
        )
    ),
    *(
        Page(name, MEMBER, title, targets, offered=offered)
        for kind, words in (("search-rare", "rare words"), ("search-common", "common words"))
        for name, title, targets, offered in (
            (kind, f"search, {words}", Targets(p99_ms=None, statements=3, cache_trips=1), ""),
            (
                f"{kind}-offered",
                "  at 60 % of that",
                Targets(p99_l_ms=150.0, statements=3, cache_trips=1),
                kind,
            ),
        )
    ),
    Page(
        "create",
        POSTERS,
        "create comment",
        Targets(cpu_ms=3.0, rate=400, p99_ms=None, statements=6, cache_trips=1),
        method="POST",
        status=302,
    ),
    Page(
        "create-offered",
        POSTERS,
        "  at 60 % of that",
        Targets(cpu_ms=3.0, statements=6, cache_trips=1),
        method="POST",
        status=302,
        offered="create",
    ),
    *(
        Page(
            f"{who}{name}",
            kind,
            f"website: {title}",
            Targets(cpu_ms=most, p99_ms=p99),
            offered=offered,
            is_website=True,
        )
        for who, kind, most in (("guest-web-", GUEST, 2.5), ("web-", MEMBER, 4.0))
        for name, title, p99, offered in (
            ("front", "front page", None, ""),
            ("microcosm", "microcosm page", None, ""),
            ("conversation", "conversation page", None, ""),
            ("conversation-offered", "  at 60 % of that", 50.0, f"{who}conversation"),
        )
    ),
)
