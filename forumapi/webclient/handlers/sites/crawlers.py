"""Files for search engines: robots.txt, and sitemaps of what a guest may read."""

from __future__ import annotations

from typing import Final

from forumapi.webclient.template_environment import page_address
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

XML: Final = "application/xml; charset=utf-8"
TEXT: Final = "text/plain; charset=utf-8"
# Addresses of one sitemap: a page of the API's lists.
PAGE: Final = 250
# Lists of the API whose things have pages of their own, by name.
LISTS: Final = ("conversations", "events", "polls")
# Pages that are nothing to find: forms, and ways to pages that have an address of their own.
_NOT_FOR_ROBOTS: Final = (
    "/login/",
    "/logout/",
    "/search/",
    "/updates/",
    "/admin/",
    "/account/",
    "/huddles/",
    "/*/newest/",
    "/*/last/",
)


class RobotsView(View):
    """File robots.txt of a site, the same for everybody."""

    def get(self, visit: Visit) -> Answer:
        """Send robots.txt, which keeps crawlers out of forms, names the sitemap, and tells the site's policy: which
        crawlers it refuses, and its preference on training (draft-ietf-aipref-attach). The robots.txt of a sandbox
        refuses all crawlers everything.
        """
        visit.be_guest()
        policy = visit.api.get("/site/crawling")
        if visit.api.robots:
            # The API's answers, too, keep search engines out of a sandbox.
            return visit.send(b"User-agent: *\nDisallow: /\n", TEXT)
        lines = []
        if policy["refused"]:
            lines = [*(f"User-agent: {name}" for name in policy["refused"]), "Disallow: /", ""]
        lines.append("User-agent: *")
        if policy["trainAi"]:
            lines.append(f"Content-Usage: train-ai={policy['trainAi']}")
        lines += [*(f"Disallow: {path}" for path in _NOT_FOR_ROBOTS), ""]
        lines.append(f"Sitemap: {visit.base_url}/sitemap.xml")
        return visit.send("\n".join([*lines, ""]).encode(), TEXT)


class SitemapIndexView(View):
    """Index of a site's sitemaps, at /sitemap.xml."""

    def get(self, visit: Visit) -> Answer:
        """Send the index: whole URLs of one sitemap of the microcosms and, for each of conversations, events and polls,
        of one sitemap for every 250 that a guest may read.
        """
        visit.be_guest()
        maps = ["/sitemap-places-1.xml"]
        for name in LISTS:
            found = visit.api.get(f"/{name}", limit=5)[name]
            pages = -(-found["total"] // PAGE)
            maps += [f"/sitemap-{name}-{number}.xml" for number in range(1, pages + 1)]
        return visit.send(visit.render("sitemap.xml", maps=maps).encode(), XML)


class SitemapView(View):
    """Sitemap of a site's microcosms (`name` "places"), or of up to 250 of its conversations, events or polls."""

    def get(self, visit: Visit, name: str, number: int) -> Answer:
        """Send the sitemap with the number `number`, from 1 on, of the list `name`: "places" (microcosms),
        "conversations", "events" or "polls". The sitemap holds the URLs of the things' pages, and, except for
        microcosms, the time of the last comment, else of the creation (of polls always the latter). Raises Refused with
        404 for another name, for number 0, and for a second sitemap of microcosms; Failure for a number behind the last
        one.
        """
        visit.be_guest()
        pages: list[tuple[str, str]] = []
        if name == "places" and number == 1:
            tree = visit.api.get("/microcosms/tree")
            pages = [
                ("/", ""),
                *((page_address(one["href"]), "") for one in tree if one["level"] > 1),
            ]
        elif name in LISTS and number:
            found = visit.api.get(f"/{name}", limit=PAGE, offset=(number - 1) * PAGE)[name]
            for one in found["items"]:
                last = one.get("lastComment") or {}
                changed = last.get("created") or one["meta"]["created"]
                pages.append((f"/{name}/{one['id']}/", changed))
        else:
            raise Refused(404)
        return visit.send(visit.render("sitemap.xml", pages=pages).encode(), XML)
