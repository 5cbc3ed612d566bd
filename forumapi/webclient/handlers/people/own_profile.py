"""Form of one's own profile: name, picture, and the text about oneself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from forumapi.webclient.api import Failure
from forumapi.webclient.handlers.access.account import SHOWN
from forumapi.webclient.template_environment import plain
from forumapi.webclient.text_form import once, store_picture
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

if TYPE_CHECKING:
    from werkzeug.datastructures import FileStorage

# Pixels that a side of a picture of a profile has at most.
AVATAR_SIDE: Final = 512


class OwnProfileView(View):
    """Form of the member's own profile: name, text about oneself, picture."""

    takes_files = True

    def get(self, visit: Visit) -> Answer:
        """Show the form with the member's profile as it is stored. Raises SignInFirst for guests."""
        visit.member()
        return self._show(visit)

    def post(self, visit: Visit) -> Answer:
        """Store name, text and picture in this order, those that have changed, and lead to the profile; an empty name
        and no picture leave the stored ones. A refusal whose status is in SHOWN (400, 401, 403 and others) shows the
        form with that status; what was stored before the refusal stays stored. Raises SignInFirst for guests, Failure
        for other refusals.
        """
        me = visit.member()
        try:
            name = visit.field("profileName")
            if name and name != plain(me["profileName"]):
                visit.api.put(f"/profiles/{me['id']}", {"profileName": name})
            self._say(visit, me)
            picture = visit.files.get("picture") if visit.files is not None else None
            if picture is not None and picture.filename:
                self._upload(visit, me, picture)
        except Failure as failure:
            if failure.status not in SHOWN:
                raise
            return self._show(visit, failure=failure)
        return visit.redirect(f"/profiles/{me['id']}/")

    def _say(self, visit: Visit, me: dict[str, Any]) -> None:
        """Store the sent text about oneself as the newest comment on the profile: edit that comment if the member wrote
        it, else add one; an empty text deletes the member's own comment. `me`: the profile as `/whoami` shows it. A
        text that is the same already is not sent. Raises Failure if the API refuses the text.
        """
        text, said = visit.field("markdown"), me["profileComment"]
        own = said if said and said["meta"]["createdBy"]["id"] == me["id"] else None
        if text.strip() == (own["markdown"].strip() if own else ""):
            return
        if own and text.strip():
            visit.api.put(f"/comments/{own['id']}", {"markdown": text})
        elif own:
            visit.api.delete(f"/comments/{own['id']}")
        else:
            body = {"itemType": "profile", "itemId": me["id"], "markdown": text}
            visit.api.post("/comments", body, key=once(visit.field("key"), body))

    def _upload(self, visit: Visit, me: dict[str, Any], picture: FileStorage) -> None:
        """Upload the file `picture`, made smaller to AVATAR_SIDE (512) pixels a side at most, and attach it to the
        profile `me`, whose avatar it becomes. `me`: as `/whoami` shows the profile. Raises Failure if the API refuses
        the file, and with 400 for a file that is no picture.
        """
        made = store_picture(visit, picture, AVATAR_SIDE)
        body = {"fileHash": made["fileHash"], "fileName": made["fileName"]}
        visit.api.post(f"/profiles/{me['id']}/attachments", body)

    def _show(self, visit: Visit, *, failure: Failure | None = None) -> Answer:
        me = visit.member()
        said = me["profileComment"]
        is_own = bool(said) and said["meta"]["createdBy"]["id"] == me["id"]
        text = said["markdown"] if is_own else ""
        return visit.page(
            "own_profile.html",
            status=failure.status if failure else 200,
            name=visit.field("profileName", plain(me["profileName"])),
            text=visit.field("markdown", text),
            failure=failure,
        )


class EditProfileView(View):
    """Redirect from the address at which Microcosm's own web front end had the form for a profile, to today's form."""

    def get(self, visit: Visit, profile: int) -> Answer:
        """Redirect to the form of the member's own profile. Raises Refused with 403 if `profile` is not the id of that,
        SignInFirst for guests.
        """
        if visit.member()["id"] != profile:
            raise Refused(403)
        return visit.redirect("/account/profile/")
