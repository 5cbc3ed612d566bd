"""Levels of agents that are in force for the caller. Wire: docs/api/agents.md."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.agents import tools
from forumapi.errors import OUT_OF_RANGE, Invalid
from forumapi.models.access import agent_level
from forumapi.models.journal import journal
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, Handler, needs
from forumapi.request.handler_results import Data, Found, Result
from forumapi.wire.body import given
from forumapi.wire.json_fragments import dumps
from forumapi.wire.openapi_enums import closed
from forumapi.wire.schemas import access as schemas

_PATH: Final = "/api/v1/agents"


class AgentLevelBody(Struct):
    """Body of PUT /agents. `own`: level that the caller sets for agents in their name."""

    own: Annotated[str, closed(tools.LEVELS)] | UnsetType = UNSET


class AgentLevelsHandler(Handler):
    """Levels of agents: the site's, and the caller's own."""

    required_keys: ClassVar = {"PUT": ("own",)}

    @needs(LOGIN, answer=schemas.AgentLevels)
    def get(self, ctx: Context) -> Result:
        """The site's level, the level that the caller set for agents in their name, and the lower of both, in force."""
        site = ctx.site.agents
        own = agent_level.find(ctx.reader, ctx.site.id, ctx.identity.profile_id)
        return Data(dumps({"site": site, "own": own, "inForce": tools.lower(site, own)}))

    @needs(LOGIN, body=AgentLevelBody, status=302)
    def put(self, ctx: Context, sent: AgentLevelBody) -> Result:
        """Set what agents may do at most in the caller's name, from their next message on and whatever their tokens
        allow; a lower level of the site stays in force.

        400 for another level than `off`, `read`, `draft` and `write`. Answers 302 to the levels.
        """
        level = given(sent.own, "")
        if level not in tools.LEVELS:
            raise Invalid("own", f"must be one of {', '.join(tools.LEVELS)}", code=OUT_OF_RANGE)
        agent_level.update(ctx.writer, ctx.author, level)
        journal.record(
            ctx.writer, ctx.author, journal.REPLACED, itemtypes.AUTH, ctx.identity.user_id
        )
        return Found(_PATH)
