"""Page of a comment's revisions: their list, the difference of two, and the button that restores one."""

from __future__ import annotations

from typing import Any

from forumapi.webclient.api import Failure
from forumapi.webclient.text_form import once
from forumapi.webclient.typed_number import typed_number
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit


class RevisionsView(View):
    """Page of a comment's revisions; its button makes the text of an earlier revision the current one."""

    def get(self, visit: Visit, comment: int) -> Answer:
        """List the revisions of the comment with the id `comment` from the query's `offset` on, newest first, and show
        the difference between the revisions numbered `from` and `to` in the query: `to` is the newest by default,
        `from` the one before `to`; the first revision has no difference. Raises SignInFirst for guests, Failure if the
        API does not show the member the revisions, or has none of such a number.
        """
        visit.member()
        return self._show(visit, comment)

    def post(self, visit: Visit, comment: int) -> Answer:
        """Make the text of the revision whose number is the field `revision` the current one of the comment with the id
        `comment`, and lead to the comment; show the page again, with 412, if the comment was changed meanwhile. Raises
        SignInFirst for guests, Refused with 400 without a number, Failure for other refusals.
        """
        visit.member()
        revision = visit.number("revision")
        if not revision:
            raise Refused(400)
        body = {"revision": revision}
        path = f"/comments/{comment}"
        try:
            visit.api.write(
                "POST",
                f"{path}/revisions",
                body,
                key=once(visit.field("key"), body),
                match=visit.field("etag"),
            )
        except Failure as failure:
            if failure.status != 412:
                raise
            return self._show(visit, comment, failure)
        return visit.redirect(f"{path}/incontext/")

    def _show(self, visit: Visit, comment: int, failure: Failure | None = None) -> Answer:
        path = f"/comments/{comment}/revisions"
        found = visit.api.document(path, offset=visit.query.get("offset"))
        shown = found.data["revisions"]
        newer = self._chosen(visit, "to", shown["total"])
        older = self._chosen(visit, "from", max(newer - 1, 0))
        difference: dict[str, Any] | None = None
        if older:
            difference = visit.api.get(f"{path}/{newer}/diff", **{"from": str(older)})
        return visit.page(
            "revisions.html",
            status=failure.status if failure else 200,
            comment=comment,
            revisions=shown,
            etag=found.etag,
            difference=difference,
            older=older,
            newer=newer,
            failure=failure,
        )

    def _chosen(self, visit: Visit, name: str, default: int) -> int:
        return typed_number(visit.query.get(name, ""), default, most_digits=9)
