"""Shapes of answers about addresses of the forum software that a site was moved from."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.values import Id


class OldTarget(Struct, kw_only=True):
    """Link to the object that an old address leads to now."""

    rel: Annotated[
        str | UnsetType, Meta(description="The item type; absent for a file and for nothing.")
    ] = UNSET
    href: Annotated[str, Meta(description='The address here; "" for nothing.')]


class Resolved(Struct, kw_only=True):
    """Answer to the question where an old address leads now: `status` 301 with the present address, or 404; the HTTP
    status is 200.
    """

    url: Annotated[str, Meta(description="As it was asked.")]
    status: Literal[301, 404]
    redirect: OldTarget
    itemType: (
        Literal["microcosm", "conversation", "comment", "profile", "huddle", "attachment", "update"]
        | UnsetType
    ) = UNSET
    itemId: Annotated[Id, Meta(description="Absent for a list.")] | UnsetType = UNSET
    offset: Annotated[int, Meta(ge=25, description="Absent for the first page.")] | UnsetType = (
        UNSET
    )
    action: Literal["incontext", "search", "online"] | UnsetType = UNSET
    search: Annotated[str, Meta(description="What to look for, with `search`.")] | UnsetType = UNSET
