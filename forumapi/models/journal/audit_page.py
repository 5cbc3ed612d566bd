"""Pages of the audit: for the site's owner, for each person the entries that concern them, for operators a profile's.

Owners do not see entries about huddles or sign-ins. Only the operator sees client addresses, and persons do not see who
acted on them or their things.
"""

from __future__ import annotations

import datetime
import itertools
import json
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.itemtypes import ItemRef
from forumapi.models.journal import audit_hash
from forumapi.wire import json_fragments

# Changes of a profile in one list for the command line.
MAX_ENTRIES: Final = 1000
# Key of the first page.
NEWEST: Final = 2**63 - 1

ACTIONS: Final = {
    "C": "created",
    "R": "replaced",
    "U": "patched",
    "D": "deleted",
    "E": "exported",
    "I": "imported",
    audit_hash.ERASED: "erased",
}

# Details that a person is shown of actions of others on them and their things. An action whose verb is not among these
# is not shown at all: a report or a note about somebody is nothing that they may know of.
_ACTIONS: Final = (
    *(
        "hide",
        "show",
        "delete",
        "restore",
        "move",
        "merge",
        "split",
        "lock",
        "unlock",
        "pin",
        "unpin",
    ),
    *("warn", "silence", "ban", "lift", "redact"),
)
VERBS: Final = (*_ACTIONS, *(f"undo {verb}" for verb in _ACTIONS))
_SHOWN: Final = ("verb", "reason", "ground", "automated")
_SHOWN_TO_OWNERS: Final = (*_SHOWN, "note", "action", "case", "byRule", "ruleVersion")

_COLUMNS: Final = """
           e.audit_id, e.created, e.action, e.item_type_id, e.item_id, e.parent_type_id, e.parent_id, e.actor_id,
           e.subject_id, coalesce(a.detail::text, ''), a.audit_id IS NULL"""
_DETAIL: Final = """
      LEFT JOIN audit_log a ON a.site_id = e.site_id AND a.audit_id = e.audit_id"""
# A cursor whose entry is gone leads nowhere, and not to the beginning.
_BEFORE: Final = f"""
           (e.created, e.audit_id)
           < (CASE WHEN %(before)s::bigint = {NEWEST} THEN 'infinity'
                   ELSE (SELECT b.created FROM audit_entries b
                          WHERE b.site_id = %(site_id)s AND b.audit_id = %(before)s::bigint) END, %(before)s::bigint)"""
_OF_SITE: Final = f"""
    SELECT {_COLUMNS}
      FROM audit_entries e {_DETAIL}
     WHERE e.site_id = %(site_id)s AND NOT e.is_private AND e.action <> '{audit_hash.SIGNED}'
       AND e.created >= %(since)s::timestamptz AND e.created < %(until)s::timestamptz AND {_BEFORE}
       {{and_more}}
     ORDER BY e.created DESC, e.audit_id DESC
     LIMIT %(limit)s"""
_CONDITIONS: Final = {
    "actor": "AND e.actor_id = %(actor)s AND e.actor_id > 0",
    "subject": "AND e.subject_id = %(subject)s AND e.subject_id > 0",
    "item": "AND e.item_type_id = %(item_type)s AND e.item_id = %(item_id)s",
}


def _of_site(*wanted: str) -> Query:
    name = "_".join(("of_site", *wanted))
    more = "\n       ".join(_CONDITIONS[one] for one in wanted)
    return Query(f"audit_page.{name}", _OF_SITE.format(and_more=more))


# One statement for each combination of filters, so that each walks an index.
OF_SITE: Final = {
    wanted: _of_site(*wanted)
    for count in range(len(_CONDITIONS) + 1)
    for wanted in itertools.combinations(_CONDITIONS, count)
}

# What one did, and what others did to one and one's things: not in huddles, which one may have left.
OF_PERSON = Query(
    "audit_page.of_person",
    f"""
    SELECT * FROM (
        (SELECT {_COLUMNS}
           FROM audit_entries e {_DETAIL}
          WHERE e.site_id = %(site_id)s AND e.actor_id = %(me)s AND e.actor_id > 0 AND {_BEFORE}
          ORDER BY e.created DESC, e.audit_id DESC
          LIMIT %(limit)s)
          UNION ALL
        (SELECT {_COLUMNS}
           FROM audit_entries e {_DETAIL}
          WHERE e.site_id = %(site_id)s AND e.subject_id = %(me)s AND e.subject_id > 0 AND {_BEFORE}
            AND e.actor_id <> %(me)s AND NOT e.is_private
            AND coalesce(a.detail ->> 'verb' = ANY(%(verbs)s::text[]), true)
          ORDER BY e.created DESC, e.audit_id DESC
          LIMIT %(limit)s)) AS both_ways (audit_id, created)
     ORDER BY created DESC, audit_id DESC
     LIMIT %(limit)s""",
)

# With client addresses: for the command line alone.
OF_PROFILE = Query(
    "audit_page.of_profile",
    """
    SELECT a.created, a.action, a.item_type_id, a.item_id,
           coalesce(host(a.ip), '#' || encode(a.ip_hash, 'hex'), '')
      FROM audit_log a
     WHERE a.site_id = %(site_id)s AND a.profile_id = %(profile_id)s
     ORDER BY a.created DESC
     LIMIT %(limit)s""",
)


class AuditEntry(NamedTuple):
    """Change in `audit_log`. `action`: C (created), R (replaced), U (patched), D (deleted) or another key of ACTIONS;
    `ip`: the client address, or, once the row is old, `#` and the address's keyed hash; "" if unknown.
    """

    created: datetime.datetime
    action: str
    item_type_id: int
    item_id: int
    ip: str


class EntryFilter(NamedTuple):
    """Filter of the list of audit entries that a site's owner reads. `actor` and `subject`: profile ids, 0: any;
    `item`: the thing that was acted on, of type 0: any; `since` (inclusive) and `until` (exclusive): times, None: no
    limit.
    """

    actor: int = 0
    subject: int = 0
    item: ItemRef = ItemRef(0, 0)
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None


class ListedEntry(NamedTuple):
    """Entry of the audit on a page. `action`: a key of ACTIONS; `item_…`: the thing that was acted on; `parent_…`: what
    that thing is on, 0 for nothing; `actor_id`: profile that acted, `subject_id`: profile that the action concerned, 0
    for none; `detail_text`: JSON with keys of audit_detail_encoding.py, "" for no details; `is_erased`: the entry's row
    in `audit_log`, which held client address and details, is deleted, so that `detail_text` is "".
    """

    id: int
    created: datetime.datetime
    action: str
    item_type: int
    item_id: int
    parent_type: int
    parent_id: int
    actor_id: int
    subject_id: int
    detail_text: str
    is_erased: bool

    def document(self, people: dict[int, bytes]) -> dict[str, Any]:
        """Return the entry as a dict for JSON, for the site's owner; `people`: JSON summaries by profile id; a profile
        without one is null.
        """
        return self._document(_SHOWN_TO_OWNERS) | {
            "actor": _person(people, self.actor_id),
            "subject": _person(people, self.subject_id),
            "meta": self._meta(),
        }

    def own_document(self, me: int) -> dict[str, Any]:
        """Return the entry as a dict for JSON, for the profile with the id `me`, whom it concerns: without actor, but
        with `own`, True if that profile was the actor.
        """
        return self._document(_SHOWN) | {"own": self.actor_id == me, "meta": self._meta()}

    def _document(self, keys: tuple[str, ...]) -> dict[str, Any]:
        detail = json.loads(self.detail_text) if self.detail_text else {}
        document: dict[str, Any] = {
            "id": self.id,
            "created": json_fragments.format_time(self.created),
            "action": ACTIONS[self.action],
            "itemType": itemtypes.name_of(self.item_type),
            "itemId": self.item_id,
        }
        if shown := {key: detail[key] for key in keys if key in detail}:
            document["detail"] = shown
        if "operator" in detail:
            document["operator"] = True
        return document

    def _meta(self) -> dict[str, Any]:
        links = [
            {"rel": itemtypes.name_of(type), "href": ItemRef(type, id).href}
            for type, id in ((self.item_type, self.item_id), (self.parent_type, self.parent_id))
            if type in _LINKED
        ]
        return {"flags": {"erased": True} if self.is_erased else {}, "links": links}


_LINKED: Final = frozenset(
    (
        *(itemtypes.MICROCOSM, itemtypes.PROFILE, itemtypes.COMMENT, itemtypes.HUDDLE),
        *(itemtypes.CONVERSATION, itemtypes.POLL, itemtypes.EVENT),
    )
)


def _person(people: dict[int, bytes], id: int) -> Any:
    return json_fragments.raw(people[id]) if id in people else None


def of_site(
    tx: Reader, site_id: int, which: EntryFilter, before: int, limit: int
) -> list[ListedEntry]:
    """Return up to `limit` entries of a site that match the filter `which`, newest first, without private
    entries (such as those about huddles and sign-ins) and those that are signatures of the chain. All are older than
    the entry with the id `before` (NEWEST: from the newest on); [] if that entry is gone.
    """
    given = {"actor": which.actor, "subject": which.subject, "item": which.item.type}
    query = OF_SITE[tuple(name for name, value in given.items() if value)]
    params: dict[str, object] = {
        "actor": which.actor,
        "subject": which.subject,
        "item_type": which.item.type,
        "item_id": which.item.id,
        "since": which.since or "-infinity",
        "until": which.until or "infinity",
        "before": before,
        "site_id": site_id,
        "limit": limit,
    }
    rows = tx.rows(query, **{name: params[name] for name in query.names})
    return [ListedEntry(*row) for row in rows]


def of_person(tx: Reader, site_id: int, me: int, before: int, limit: int) -> list[ListedEntry]:
    """Return up to `limit` entries of what the profile `me` did, and of what others did to `me` or to things of `me`,
    newest first; of the latter without private ones, and without actions that have a verb which is not in VERBS. All
    are older than the entry with the id `before` (NEWEST: from the newest on); [] if that entry is gone.
    """
    rows = tx.rows(OF_PERSON, site_id=site_id, me=me, before=before, limit=limit, verbs=VERBS)
    return [ListedEntry(*row) for row in rows]


def of_profile(tx: Reader, site_id: int, profile_id: int, limit: int = 100) -> list[AuditEntry]:
    """Return up to `limit` changes that a profile has made, at most MAX_ENTRIES, newest first: for tracing abuse from
    the command line.
    """
    rows = tx.rows(
        OF_PROFILE, site_id=site_id, profile_id=profile_id, limit=min(limit, MAX_ENTRIES)
    )
    return [AuditEntry(*row) for row in rows]
