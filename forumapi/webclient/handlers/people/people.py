"""Pages of people: the list of a site's profiles, one profile, and the roles that it is in."""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.api import Failure
from forumapi.webclient.template_environment import plain
from forumapi.webclient.typed_number import typed_number
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

# Choices of the list, as the API takes them: `online=true` and so on.
CHOICES: Final = ("online", "following", "top")
# Things that somebody wrote, shown on their profile.
WRITTEN: Final = 10


class PeopleView(View):
    """List of the site's profiles, all of them or one choice: whose names begin with `q`, who is online, whom the
    member follows, who wrote most.
    """

    def get(self, visit: Visit) -> Answer:
        """List profiles from the query's `offset` on, by name, an exact match of `q` first; with the query parameter
        `top` by number of comments, most first; for an offset that the API refuses, the first ones. Guests follow
        nobody, so that `following` lists none for them.
        """
        asked = {name: visit.query.get(name) for name in ("q", *CHOICES)}
        return visit.page(
            "profiles.html",
            list=visit.listed("/profiles", **asked)["profiles"],
            q=asked["q"] or "",
            choice=next((name for name in CHOICES if _is_true(asked[name])), ""),
        )


class ProfileView(View):
    """Page of a profile, with items and comments that the person wrote, latest activity first."""

    def get(self, visit: Visit, profile: int) -> Answer:
        """Show the profile with the id `profile`, and the WRITTEN (10) of its items and comments that have the latest
        activity, of those that the visitor may read; `comment_id` in the query shows the comment with that id as well,
        if the visitor may read it. A bot's profile names its owner, unless the visitor may not see the owner's. Raises
        Failure if the visitor may not see the profile.
        """
        found = visit.api.get(f"/profiles/{profile}")
        wanted = typed_number(visit.query.get("comment_id", ""))
        biography = found["profileComment"]
        pinned: dict[str, Any] | None = None
        if wanted is not None and (biography is None or wanted != biography["id"]):
            pinned = self._comment(visit, wanted)
        written = visit.api.get(
            "/search",
            authorId=profile,
            type=["conversation", "event", "poll", "comment"],
            sort="date",
            limit=WRITTEN,
        )
        return visit.page(
            "profile.html",
            profile=found,
            owner=self._owner(visit, found),
            written=written["results"],
            pinned=pinned,
        )

    @staticmethod
    def _owner(visit: Visit, found: dict[str, Any]) -> dict[str, Any] | None:
        """Return the profile of the owner of the bot `found`; None for a person, for a bot without an owner, and if the
        visitor may not see the owner's profile.
        """
        link = next((one for one in found["meta"]["links"] if one["rel"] == "botOwner"), None)
        if link is None:
            return None
        try:
            owner: dict[str, Any] = visit.api.get(link["href"].removeprefix("/api/v1"))
        except Failure as failure:
            if failure.status not in (403, 404):
                raise
            return None
        return owner

    @staticmethod
    def _comment(visit: Visit, comment: int) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = visit.api.get(f"/comments/{comment}")
        except Failure as failure:
            if failure.status not in (403, 404):
                raise
            return None
        return found


class ProfileRolesView(View):
    """Page of the roles that a profile is in, and why; the API shows them to the profile itself and to the site's
    owner.
    """

    def get(self, visit: Visit, profile: int) -> Answer:
        """List the roles of the profile with the id `profile` from the query's `offset` on (the first ones if the API
        refuses that offset): those of moderators first, those of banned people last, otherwise by title. Raises
        SignInFirst for guests, Failure for members who are neither that profile nor the site's owner.
        """
        me = visit.member()
        listed = visit.listed(f"/profiles/{profile}/roles")["roles"]
        shown = me if me["id"] == profile else visit.api.get(f"/profiles/{profile}")
        return visit.page("roles.html", profile=shown, list=listed)


def _is_true(text: str | None) -> bool:
    """Return True for the texts that the API reads as true, such as "1" and "true"; False for None."""
    return text in ("1", "t", "T", "TRUE", "true", "True")


def profile_named(visit: Visit, name: str) -> int:
    """Return the id of the profile of this name in any letter case, with or without a leading @ or +; 0 if there is
    none.
    """
    found = visit.api.get("/profiles", q=name, limit=5)["profiles"]["items"]
    sought = name.lstrip("@+").casefold()
    return next((one["id"] for one in found if plain(one["profileName"]).casefold() == sought), 0)
