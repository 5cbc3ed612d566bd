"""Names of lists of closed values, and of objects of any keys: each is a component of the OpenAPI document, to which
all places with these values, or with such an object, refer.

A generator makes one type of a component, and one type for each place where the same is written out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

from forumapi import itemtypes
from forumapi.auth.oauth_request_validator import GRANT_TYPES
from forumapi.models.content import attendee, poll
from forumapi.models.journal import audit_page
from forumapi.models.notifications import watcher, webhook
from forumapi.models.people import ignore, read_mark
from forumapi.models.roles import criterion
from forumapi.models.rules import definition
from forumapi.models.sites import legal, site_state
from forumapi.models.trust import action_kinds, dsa_terms
from forumapi.updates import digest_settings
from forumapi.wire.openapi_enums import COMMENTABLE, type_names
from forumapi.wire.schemas.updates_mail_webhooks import UpdateTypeName

Schema = dict[str, Any]

_REPORTABLE: Final = (
    itemtypes.PROFILE,
    itemtypes.COMMENT,
    itemtypes.CONVERSATION,
    itemtypes.POLL,
    itemtypes.EVENT,
)
# Name of the component by its values, in the order in which the document lists them.
NAMES: Final[Mapping[str, Iterable[str]]] = {
    "ActionKindName": action_kinds.KINDS,
    "ActionState": ("planned", "running", "done", "undoing", "undone"),
    "AgentsLevel": ("off", "read", "draft", "write"),
    "AppealOutcome": ("granted", "refused"),
    "AppealState": ("open", "granted", "refused"),
    "AuditAction": audit_page.ACTIONS.values(),
    "CaseOutcome": ("acted", "dismissed"),
    "CasePriority": ("urgent", "high", "normal"),
    "CaseState": ("open", "decided"),
    "CheckFailure": ("pass", "hold"),
    "CommentableType": type_names(COMMENTABLE),
    "ConsentEffect": legal.CONSENTS,
    "CriterionColumn": criterion.COLUMNS,
    "CriterionPredicate": criterion.PREDICATES,
    "DecisionGround": dsa_terms.GROUNDS,
    "DigestFrequency": digest_settings.FREQUENCIES,
    "EventStatus": ("proposed", "upcoming", "postponed", "cancelled", "past"),
    "GrantType": GRANT_TYPES,
    "IgnorableType": type_names(ignore.IGNORABLE),
    "ImportTask": ("run", "verify", "undo", "switch"),
    "ItemTypeName": type_names(itemtypes.ALL),
    "MarkableType": type_names(read_mark.MARKABLE),
    "MicrocosmChildType": type_names(itemtypes.MICROCOSM_CHILDREN),
    "ModerationRuleAction": definition.ACTIONS,
    "ModerationRuleEvent": definition.EVENTS,
    "ModerationRuleMode": (definition.OFF, *definition.MODES),
    "ReportableType": type_names(_REPORTABLE),
    "ResultsVisibility": poll.RESULTS,
    "Rsvp": attendee.STATES,
    "SignInKind": ("code", "redirect", "assertion", "passkey", "development"),
    "SiteStateName": site_state.STATES,
    "StatementCategory": dsa_terms.CATEGORIES,
    "UpdateTypeName": get_args(UpdateTypeName),
    "Visibility": ("public", "protected", "private"),
    "WatchableType": type_names(watcher.WATCHABLE),
    "WebhookActor": ("me", "guest"),
    "WebhookEventKind": webhook.KINDS,
    "WebhookItemType": type_names(webhook.ITEM_TYPES),
    "WrittenWords": ("keep", "remove"),
}
_BY_VALUES: Final = {frozenset(values): name for name, values in NAMES.items()}
# Keys that say something about one place alone.
_REMARKS: Final = ("description", "examples")
# Objects whose keys the document does not list, by the name of the component.
MAPS: Final[Mapping[str, Schema]] = {
    "JsonObject": {
        "description": "Object of any keys.",
        "type": "object",
        "additionalProperties": True,
    },
    "ReactionCounts": {
        "description": "How many people reacted, by kind of reaction.",
        "type": "object",
        "additionalProperties": {"type": "integer", "minimum": 1},
    },
}


def name_shapes(part: Any) -> tuple[Any, dict[str, Schema]]:
    """Return a copy of a part of the document, in which each closed list of values (`enum`) that has a name in NAMES,
    and each object of any keys that has a name in MAPS, is a reference to the component of that name; and these
    components by name.

    Two lists are the same if their values are, in any order. Values of examples are copied as they are.
    """
    found: dict[str, Schema] = {}
    return _copied(part, found), dict(sorted(found.items()))


def _copied(part: Any, found: dict[str, Schema]) -> Any:
    if isinstance(part, list):
        return [_copied(inner, found) for inner in part]
    if not isinstance(part, dict):
        return part
    name, shape = _named(part)
    if not name:
        return {
            key: inner if key in ("example", "examples") else _copied(inner, found)
            for key, inner in part.items()
        }
    found[name] = {**shape, "title": name}
    others = {key: part[key] for key in part if key in _REMARKS or key not in found[name]}
    return {"$ref": f"#/components/schemas/{name}", **others}


def _named(part: Schema) -> tuple[str, Schema]:
    """Return the name and the schema of the component that a part of the document is like; ("", {}) for none."""
    values = part.get("enum")
    if part.get("type") == "string" and isinstance(values, list):
        name = _BY_VALUES.get(frozenset(values), "")
        return name, {"type": "string", "enum": [*NAMES[name]]} if name else {}
    if part.get("type") == "object" and "properties" not in part:
        for name, shape in MAPS.items():
            if part.get("additionalProperties", True) == shape["additionalProperties"]:
                return name, dict(shape)
    return "", {}
