"""Reactions to comments and items, and the kinds of them that a site offers. Wire: docs/api/reactions.md."""

from __future__ import annotations

from collections.abc import Sequence

from forumapi.errors import Invalid
from forumapi.handlers.content import carrier_lookup
from forumapi.models.content import reaction
from forumapi.models.content.reaction import KindBody, Reaction, ReactionKind
from forumapi.request.context import Context, Located
from forumapi.request.handler import ANYONE, OWNER, READ, Handler, needs
from forumapi.request.handler_results import Done, Found, Page, Result
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import sites as site_schemas
from forumapi.wire.schemas.content import reactions_bookmarks_drafts as schemas


class ReactionKindsHandler(Handler):
    """The kinds of reactions that the site offers."""

    @needs(ANYONE, answer=list[site_schemas.ReactionKind])
    def get(self, ctx: Context) -> Result:
        """The kinds, in the order that the site's owner chose, none if the owner turned reactions off; the platform's
        kinds while the site has no kinds of its own.
        """
        kinds = reaction.kinds(ctx.reader, ctx.site.id)
        return Page(
            0,
            [tuple(kind) for kind in kinds],
            lambda: dumps([kind.document for kind in kinds]),
        )

    @needs(OWNER, body=list[KindBody])
    def put(self, ctx: Context, sent: list[KindBody]) -> Result:
        """Replace the site's kinds by the sent ones, in their order; an empty list turns reactions off. Reactions that
        were given stay stored. 400 for more than 20, for a name that is repeated or unsuitable, and for a bad text.

        Answers 200 with `data` null.
        """
        _set(ctx, reaction.checked(sent))
        return Done()

    @needs(OWNER)
    def delete(self, ctx: Context) -> Result:
        """Delete the site's own kinds, so that the platform's kinds apply again; 200 also if there are none."""
        _set(ctx, None)
        return Done()


def _set(ctx: Context, kinds: Sequence[ReactionKind] | None) -> None:
    reaction.set_kinds(ctx.writer, ctx.author, kinds)
    # The site's document shows them: this process reads it again at once, the others soon.
    ctx.writer.after_commit(lambda: ctx.app.sites.forget(ctx.site.id))


class ReactionsHandler(Handler):
    """The number of reactions of each kind to a comment or item."""

    def locate(self, ctx: Context) -> Located:
        return carrier_lookup.find(ctx)

    @needs(READ, answer=schemas.Reactions)
    def get(self, ctx: Context) -> Result:
        """All kinds of reactions that the site offers, in the site's order, each with the number of people who gave it
        to the comment or item; `own` is true for the kinds that the caller gave.
        """
        carrier_lookup.check(ctx)
        reactions = reaction.summary(ctx.reader, ctx.site.id, ctx.target, ctx.identity.profile_id)
        data = dumps(
            {"reactions": reactions, "meta": {"links": [{"rel": "self", "href": ctx.path}]}}
        )
        return Page(0, data, lambda: data)


class ReactionHandler(Handler):
    """Giving and taking back of the caller's reaction of one kind to a comment or item."""

    def locate(self, ctx: Context) -> Located:
        return carrier_lookup.find(ctx)

    @needs(READ, status=302)
    def put(self, ctx: Context) -> Result:
        """React to the comment or item with the kind in the address; nothing changes if the caller did so before.

        400 for a kind that the site does not offer, 403 for guests. Answers 302 to the reactions to the comment or
        item.
        """
        carrier_lookup.check_signed_in(ctx)
        carrier_lookup.check(ctx)
        name = ctx.args["key"]
        if name not in {kind.name for kind in reaction.kinds(ctx.reader, ctx.site.id)}:
            raise Invalid("name", "is not a reaction of this site")
        Reaction(ctx.target, name).insert(ctx.writer, ctx.author)
        return Found(ctx.path.rpartition("/")[0])

    @needs(READ)
    def delete(self, ctx: Context) -> Result:
        """Take back the caller's reaction of the kind in the address; 200 also if there is none, and if the comment or
        item is hidden from the caller, when the reaction stays.

        403 for guests.
        """
        carrier_lookup.check_signed_in(ctx)
        carrier_lookup.check(ctx)
        Reaction(ctx.target, ctx.args["key"]).delete(ctx.writer, ctx.author)
        return Done()
