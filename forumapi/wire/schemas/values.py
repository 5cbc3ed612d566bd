"""Types of single values in shapes: ids, counts, times, texts, addresses, names of item types (platform 1.9)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

Id = Annotated[int, Meta(ge=1, description="An id, unique among things of its type.")]
NoneOrId = Annotated[int, Meta(ge=0, description="An id; 0 for none.")]
Count = Annotated[int, Meta(ge=0)]
Time = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{0,5}[1-9])?Z$",
        description="RFC 3339 in UTC; at most six fractional digits, trailing zeros left out.",
        examples=["2026-03-01T18:22:07.4Z"],
        extra_json_schema={"format": "date-time"},
    ),
]
Text = Annotated[str, Meta(description="Plain text, HTML-escaped: insert it as it is.")]
Address = Annotated[
    str, Meta(description="A reference relative to the host, such as /api/v1/conversations/88.")
]
Avatar = Annotated[str, Meta(max_length=125, description='Address of a picture; "" for none.')]
PageLimit = Annotated[int, Meta(ge=5, le=250, multiple_of=5)]
ReactionCounts = Annotated[
    dict[str, Annotated[int, Meta(ge=1)]],
    Meta(
        description="How many of each reaction it got; absent without any.", examples=[{"like": 3}]
    ),
]
ByAgent = Annotated[
    Literal[True], Meta(description="An agent wrote it, in its author's name (C-56).")
]
IsBot = Annotated[Literal[True], Meta(description="The profile of a program (P-74).")]
ItemTypeName = Annotated[
    str, Meta(description="The name of an item type.", examples=["conversation"])
]
CommentableName = Literal["conversation", "event", "poll", "huddle", "profile"]


def one_of(*structs: str) -> Meta:
    """Return the annotation, for `Annotated`, of a value that is one of the structs with these names, and has no key
    that names the struct.
    """
    refs: list[dict[str, str]] = [{"$ref": f"#/components/schemas/{name}"} for name in structs]
    return Meta(extra_json_schema={"anyOf": refs})


ParentItem = Annotated[
    Any,
    one_of("ConversationSummary", "EventSummary", "PollSummary", "HuddleSummary", "ProfileSummary"),
]
