"""Pages of a member's own bots: programs with profiles of their own, for which the member answers."""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.api import Failure
from forumapi.webclient.handlers.access.account import (
    KEY_DAYS,
    SHOWN,
    days_field,
    described_scopes,
    with_no_store,
)
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

MOST_BOTS: Final = 5
# What the key of a bot may allow, of all scopes; those ticked for a new bot at first.
SCOPES: Final = (
    *("comments:read", "comments:write", "conversations:read", "conversations:write"),
    *("events:read", "files:write", "live:read", "microcosms:read", "permission:read"),
    *("polls:read", "profile:read", "profiles:read", "search:read", "sites:read"),
    *("updates:read", "updates:write", "watchers:read", "watchers:write"),
)
_AT_FIRST: Final = ["comments:read", "comments:write", "conversations:read"]


class BotsView(View):
    """Page of a member's bots; asks for a sign-in of the last 30 minutes."""

    def get(self, visit: Visit) -> Answer:
        """List the member's bots, oldest first, with the form for a new one where the member may make one and has fewer
        than MOST_BOTS (5). Raises SignInFirst for guests and for a sign-in older than 30 minutes.
        """
        visit.fresh_member()
        return self._show(visit)

    def post(self, visit: Visit) -> Answer:
        """Make a bot and show the secret of its key, which is shown this once. A refusal whose status is in SHOWN (400,
        401, 403 and others) shows the form again with that status. Raises SignInFirst for guests and for a sign-in
        older than 30 minutes, Failure for other refusals.
        """
        visit.fresh_member()
        try:
            made = visit.api.call(
                "POST", "/bots", {"profileName": visit.field("profileName"), **_key(visit)}
            ).data
        except Failure as failure:
            if failure.status not in SHOWN:
                raise
            return self._show(visit, failure)
        return _secret(visit, made)

    def _show(self, visit: Visit, failure: Failure | None = None) -> Answer:
        found = visit.api.get("/bots")
        may_make = found["mayMake"] and len(found["bots"]) < MOST_BOTS
        return visit.page(
            "bots.html",
            status=failure.status if failure else 200,
            bots=found["bots"],
            may_make=may_make,
            is_full=len(found["bots"]) >= MOST_BOTS,
            scopes=described_scopes(visit, SCOPES) if may_make else {},
            chosen=_key(visit)["scopes"] if failure else _AT_FIRST,
            days=KEY_DAYS,
            failure=failure,
        )


class BotView(View):
    """Page of one of a member's bots; asks for a sign-in of the last 30 minutes."""

    def get(self, visit: Visit, bot: int) -> Answer:
        """Show the bot with the id `bot`, with the form for another key and the buttons that stop and delete the bot.
        Raises SignInFirst for guests and for a sign-in older than 30 minutes, Failure with 404 for a bot that is not
        the member's.
        """
        visit.fresh_member()
        return self._show(visit, bot)

    def post(self, visit: Visit, bot: int) -> Answer:
        """Do what `do` says: "key" makes another key for the bot, in place of the one that it has, and shows the
        secret, which is shown this once; "stop" revokes the bot's key and leads to the page anew; "delete" removes the
        bot and leads to the list. For a new key, a refusal whose status is in SHOWN (400, 401, 403 and others) shows
        the page again with that status. Raises SignInFirst for guests and for a sign-in older than 30 minutes, Refused
        with 400 for another `do`, Failure for other refusals.
        """
        visit.fresh_member()
        match visit.field("do"):
            case "stop":
                visit.api.delete(f"/bots/{bot}/key")
                return visit.redirect(f"/account/bots/{bot}/")
            case "delete":
                visit.api.delete(f"/bots/{bot}")
                return visit.redirect("/account/bots/")
            case "key":
                try:
                    made = visit.api.call("PUT", f"/bots/{bot}/key", _key(visit)).data
                except Failure as failure:
                    if failure.status not in SHOWN:
                        raise
                    return self._show(visit, bot, failure)
                return _secret(visit, made)
        raise Refused(400)

    def _show(self, visit: Visit, bot: int, failure: Failure | None = None) -> Answer:
        found = visit.api.get(f"/bots/{bot}")
        return visit.page(
            "bot.html",
            status=failure.status if failure else 200,
            bot=found,
            scopes=described_scopes(visit, SCOPES),
            chosen=_key(visit)["scopes"] if failure else found["scopes"] or _AT_FIRST,
            days=KEY_DAYS,
            failure=failure,
        )


def _key(visit: Visit) -> dict[str, Any]:
    """Return `scopes` and `days` of the key that the sent form describes, as keys of the API's body; the API checks
    both.
    """
    chosen = visit.form.getlist("scope") if visit.form is not None else []
    return {"scopes": chosen, "days": days_field(visit)}


def _secret(visit: Visit, bot: dict[str, Any]) -> Answer:
    """Show the secret of a key that was just made for a bot, with `Cache-Control: no-store`. `bot`: the API's answer,
    the bot with the secret.
    """
    page = visit.page("key.html", key=bot, name=bot["profileName"], place="/account/bots/")
    return with_no_store(page)
