"""Pages of the platform's own host: the list of its sites, the form to begin one, and the operator's overview. Pages
call a site a community.
"""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

FIELDS: Final = ("title", "description", "subdomainKey")
# Rows that the operator sees at once; days of figures.
ROWS: Final = 50
DAYS: Final = 30


def is_platform(visit: Visit) -> bool:
    """Return True if this host is the platform's own, that of the root site."""
    return bool(visit.site["subdomainKey"] == "root")


def _check_host(visit: Visit) -> None:
    if not is_platform(visit):
        raise Refused(404)


def check_operator(visit: Visit) -> None:
    """Check that this host is the platform's own, and that the visitor runs the platform and has signed in within the
    last 30 minutes. Raises Refused: 404 on the host of a site, 403 for members who do not run the platform; SignInFirst
    for guests and for an older sign-in.
    """
    _check_host(visit)
    visit.fresh_member()
    if _figures(visit) is None:
        raise _not_for_others(visit)


def show_front(visit: Visit) -> Answer:
    """Answer with the list of sites from the query's `offset` on: all that the API lists, or with the query parameter
    `mine` those that the visitor owns, in both cases only those with the words `q` in their title if `q` is given.
    Raises SignInFirst for guests with `mine`.
    """
    is_own = "mine" in visit.query
    if is_own:
        visit.member()
    words = visit.query.get("q", "").strip()
    found = visit.listed("/sites", filter="owned" if is_own else None, q=words)
    return visit.page(
        "platform.html",
        found=found["sites"],
        is_own=is_own,
        words=words,
        is_operator=visit.me is not None and _figures(visit) is not None,
    )


class CommunityView(View):
    """Page about one site, on the platform's own host."""

    def get(self, visit: Visit, community: int) -> Answer:
        """Show title, address and description of the site with the id `community`; its owner sees the next steps too,
        and a note where the site is read-only. Raises Refused with 404 on the host of a site, Failure for an unknown
        id.
        """
        _check_host(visit)
        found = visit.api.get(f"/sites/{community}")
        me = visit.me
        # Its owner is shown by their user's id, as the profile here is another one.
        is_own = me is not None and found["ownedBy"]["userId"] == me["userId"]
        state = visit.api.get(f"/sites/{community}/state")["state"] if is_own else ""
        return visit.page("community.html", found=found, is_own=is_own, state=state)


class BeginCommunityView(View):
    """Form for a new site, for any member of the platform's own site."""

    def get(self, visit: Visit) -> Answer:
        """Show the empty form. Raises Refused with 404 on the host of a site, SignInFirst for guests."""
        _check_host(visit)
        visit.member()
        return self._show(visit, {})

    def post(self, visit: Visit) -> Answer:
        """Create the site, owned by the visitor, and lead to its page; with `do` = "check" show the form, which says if
        the subdomain is free; so too, with 400, if the subdomain is taken, missing, or holds anything but ASCII letters
        and digits; a refusal to create the site whose status is in FORM_REFUSALS (400, 403 and others) shows the form
        again with that status. Raises Refused with 404 on the host of a site, SignInFirst for guests, Failure for other
        refusals.
        """
        _check_host(visit)
        visit.member()
        typed = {name: visit.field(name) for name in FIELDS}
        key = typed["subdomainKey"] = typed["subdomainKey"].strip().lower()
        is_free = self._is_free(visit, key)
        if visit.field("do") == "check" or not is_free:
            refused = visit.field("do") != "check"
            return self._show(visit, typed, is_free=is_free, status=400 if refused else 200)
        try:
            made = visit.api.post("/sites", typed, key=visit.field("key"))
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, typed, failure=failure, status=failure.status)
        return visit.redirect(f"/sites/{made.data['siteId']}/")

    def _is_free(self, visit: Visit, key: str) -> bool:
        if not (key.isascii() and key.isalnum()):
            return False
        # This answer has no envelope.
        found = visit.api.call("GET", f"/reserved/{key}").body
        return b"true" not in found

    def _show(
        self,
        visit: Visit,
        typed: dict[str, str],
        *,
        is_free: bool | None = None,
        failure: Failure | None = None,
        status: int = 200,
    ) -> Answer:
        return visit.page(
            "begin_community.html",
            status=status,
            typed=typed,
            is_free=is_free,
            failure=failure,
        )


class OperatorView(View):
    """Overview for those who run the platform: all sites, and the platform's figures by day."""

    def get(self, visit: Visit) -> Answer:
        """Show ROWS (50) sites at most, from the query's `offset` on, with the words `q` in their title if given, and
        the figures of the last DAYS (30) days, newest first; with the query parameter `number`, the id of a site, lead
        to the site's page, since suspended sites and those in their export window are in no list. Raises Refused: 403
        for all members but the platform's operators, 404 on the host of a site; SignInFirst for guests.
        """
        _check_host(visit)
        visit.member()
        figures = _figures(visit)
        if figures is None:
            raise _not_for_others(visit)
        number = visit.query.get("number", "").strip()
        if number.isascii() and number.isdecimal():
            return visit.redirect(f"/platform/sites/{number[:18]}/")
        words = visit.query.get("q", "").strip()
        found = visit.listed("/sites", limit=ROWS, q=words)
        return visit.page(
            "operator.html", found=found["sites"], figures=figures[: -DAYS - 1 : -1], words=words
        )


def _not_for_others(visit: Visit) -> Refused:
    return Refused(403, visit.language.gettext("This is for those who run the platform."))


def _figures(visit: Visit) -> list[dict[str, Any]] | None:
    """Return the platform's figures by day, oldest first; None if the API refuses them, as it does to all but those who
    run the platform.
    """
    try:
        found: list[dict[str, Any]] = visit.api.get("/metrics")["metrics"]
    except Failure as failure:
        if failure.status != 403:
            raise
        return None
    return found
