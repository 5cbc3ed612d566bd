"""Writing worlds into a database, and asking the engine's own loaders for them: tree, caller, target."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql

from forumapi.database.connections import Database
from forumapi.models.access import identity, permission_target
from forumapi.models.content import attendee
from forumapi.models.microcosms.tree import load_tree
from forumapi.models.roles import criterion, role_recomputation
from forumapi.permissions.evaluator import GUEST_CALLER, Principal, Target, Tree, unseen_comment
from tests.oracle.may import GRANTS
from tests.oracle.world import (
    ATTENDEE,
    COMMENT,
    EVENT,
    HUDDLE,
    POLL,
    PROFILE,
    UPDATE,
    WATCHER,
    Asked,
    Comment,
    Criterion,
    Value,
    World,
)

Row = tuple[Any, ...]
_COLUMNS = {
    "users": "user_id email canonical_email person_key email_verified is_banned",
    "one_time_secrets": "user_id secret confirmed",
    "access_tokens": "token_hash user_id expires scopes",
    "sites": "site_id title description subdomain_key owned_by created_by root_microcosm_id needs_second_factor",
    "site_options": "site_id only_admins_can_create_microcosms",
    "site_stats": "site_id",
    "profiles": "site_id profile_id user_id profile_name gender created",
    "profile_counters": "site_id profile_id item_count comment_count name_key",
    "profile_options": "site_id profile_id",
    "bans": "site_id user_id",
    "microcosms": "site_id microcosm_id parent_id title description item_types created_by owned_by is_deleted"
    " is_moderated",
    "microcosm_counts": "site_id microcosm_id item_count poll_count comment_count",
    "roles": "site_id role_id microcosm_id title created_by is_moderator is_banned include_guests include_users"
    " can_create can_read can_update can_delete can_close_own can_open_own can_read_others",
    "role_profiles": "site_id role_id profile_id",
    "criteria": "site_id role_id or_group profile_column attr_key predicate value kind number_value date_value"
    " text_value boolean_value",
    "attributes": "site_id item_type_id item_id key value_type_id string_value date_value number_value boolean_value"
    " written is_granted",
    "items": "site_id item_id item_type_id microcosm_id title created_by is_open is_deleted is_moderated"
    " comment_count last_seq last_comment_id last_comment_at last_comment_by",
    "events": "site_id item_id when_local when_utc tz_name duration_min status",
    "polls": "site_id item_id question",
    "poll_choices": "site_id item_id choice sequence",
    "huddles": "site_id item_id is_confidential",
    "huddle_participants": "site_id item_id profile_id",
    "item_authors": "site_id item_id profile_id live",
    "comments": "site_id comment_id item_id on_profile_id seq created_by edited_by is_deleted is_moderated markdown"
    " html renderer",
    "attendees": "site_id item_id profile_id state_id created_by",
    "updates": "site_id update_id profile_id update_type_id item_type_id item_id created_by",
    "watchers": "site_id watcher_id profile_id item_type_id item_id",
    "ignores": "site_id profile_id item_type_id item_id",
}


def token(profile_id: int, number: int = 0) -> str:
    """The secret of a token of a profile of a world, by its number among theirs."""
    return f"oracle{number}{profile_id:0121d}"


def host_key(world: World) -> str:
    """The key of a world's host."""
    return f"oracle{world.site_id}"


def save(url: str, worlds: Iterable[World], *, skip_triggers: bool = False) -> None:
    """Write worlds with their counters, people, roles; `skip_triggers` is faster, and leaves out what they keep."""
    rows: dict[str, list[Row]] = {table: [] for table in _COLUMNS}
    for world in worlds:
        _rows(rows, world)
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        if skip_triggers:
            cursor.execute("SET LOCAL session_replication_role = replica")
        for table, columns in _COLUMNS.items():
            statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
                sql.Identifier(table),
                sql.SQL(", ").join(map(sql.Identifier, columns.split())),
            )
            with cursor.copy(statement) as copy:
                for row in rows[table]:
                    copy.write_row(row)


def settle(database: Database, worlds: Iterable[World]) -> None:
    """Let the engine work out who is in which role."""
    for world in worlds:
        with database.write() as tx:
            role_recomputation.recompute_roles(tx, world.site_id, list(world.profiles))


def _rows(rows: dict[str, list[Row]], world: World) -> None:
    site = world.site_id
    far = world.now + datetime.timedelta(days=300)
    rows["sites"].append(
        (
            site,
            "A site",
            "Of the oracle",
            host_key(world),
            world.owned_by,
            world.owned_by,
            world.root_id,
            world.needs_second_factor,
        )
    )
    rows["site_options"].append((site, not world.everyone_creates_microcosms))
    rows["site_stats"].append((site,))
    for p in world.profiles.values():
        rows["users"].append(
            (p.user_id, p.email, p.email.lower(), p.email.lower(), True, p.is_banned_everywhere)
        )
        if p.has_second_factor:
            rows["one_time_secrets"].append((p.user_id, "JBSWY3DPEHPK3PXP", world.now))
        for number, scopes in enumerate(p.tokens):
            hashed = identity.token_hash(token(p.id, number))
            granted = None if scopes is None else sorted(scopes)
            rows["access_tokens"].append((hashed, p.user_id, far, granted))
        rows["profiles"].append((site, p.id, p.user_id, p.name, p.gender, p.created))
        rows["profile_counters"].append((site, p.id, p.item_count, p.comment_count, p.name.lower()))
        rows["profile_options"].append((site, p.id))
        if p.has_ban:
            rows["bans"].append((site, p.user_id))
        for key, value in p.attributes.items():
            is_granted = key not in p.own_keys
            rows["attributes"].append(
                (site, PROFILE, p.id, key, *_typed(value), world.now, is_granted)
            )
        for item_type, id in p.ignored:
            rows["ignores"].append((site, p.id, item_type, id))
    for m in world.microcosms.values():
        rows["microcosms"].append(
            (
                site,
                m.id,
                m.parent_id,
                f"Microcosm {m.id}",
                "A place",
                [2, 6, 7, 9],
                m.created_by,
                m.owned_by,
                m.is_deleted,
                m.is_moderated,
            )
        )
        rows["microcosm_counts"].append((site, m.id, *_counts(world, m.id)))
    for role in world.roles.values():
        rows["roles"].append(
            (
                site,
                role.id,
                role.microcosm_id,
                f"Role {role.id}",
                role.created_by,
                role.is_moderator,
                role.is_banned,
                role.include_guests,
                role.include_users,
                *(grant in role.grants for grant in GRANTS),
            )
        )
        for id in role.profiles:
            rows["role_profiles"].append((site, role.id, id))
        for one in role.criteria:
            rows["criteria"].append((site, role.id, *criterion_row(one)))
    _content_rows(rows, world)
    for rsvp in world.attendees.values():
        rows["attendees"].append((site, rsvp.event_id, rsvp.profile_id, 2, rsvp.added_by))
    for owned in world.owned.values():
        if owned.type == UPDATE:
            subject = next(iter(world.profiles))
            rows["updates"].append(
                (site, owned.id, owned.profile_id, 9, PROFILE, owned.id, subject)
            )
        elif owned.type == WATCHER:
            rows["watchers"].append((site, owned.id, owned.profile_id, PROFILE, owned.id))


def _counts(world: World, microcosm_id: int) -> tuple[int, int, int]:
    """(items, polls among them, comments) that are to be seen in a microcosm."""
    items = {
        key: item
        for key, item in world.items.items()
        if item.microcosm_id == microcosm_id and not item.is_deleted and not item.is_moderated
    }
    comments = [
        c
        for c in world.comments.values()
        if (c.parent_type, c.parent_id) in items and not c.is_deleted and not c.is_moderated
    ]
    return len(items), sum(kind == POLL for kind, _ in items), len(comments)


def _content_rows(rows: dict[str, list[Row]], world: World) -> None:
    site = world.site_id
    on_items: dict[int, list[Comment]] = {}
    for comment in world.comments.values():
        is_on_profile = comment.parent_type == PROFILE
        beside = [] if is_on_profile else on_items.setdefault(comment.parent_id, [])
        beside.append(comment)
        rows["comments"].append(
            (
                site,
                comment.id,
                None if is_on_profile else comment.parent_id,
                comment.parent_id if is_on_profile else None,
                0 if is_on_profile else len(beside),
                comment.author,
                comment.author,
                comment.is_deleted,
                comment.is_moderated,
                f"Comment {comment.id}",
                f"<p>Comment {comment.id}</p>\n",
                0,
            )
        )

    def item_row(
        item_type: int, id: int, microcosm_id: int | None, author: int, *state: bool
    ) -> None:
        comments = on_items.get(id, [])
        live = [c for c in comments if not c.is_deleted and not c.is_moderated]
        rows["items"].append(
            (
                site,
                id,
                item_type,
                microcosm_id,
                f"Item {id}",
                author,
                *state,
                len(live),
                len(comments),
                *((live[-1].id, world.now, live[-1].author) if live else (None, None, None)),
            )
        )
        for author in {c.author for c in live}:
            count = sum(1 for c in live if c.author == author)
            rows["item_authors"].append((site, id, author, count))

    for item in world.items.values():
        state = (item.is_open, item.is_deleted, item.is_moderated)
        item_row(item.type, item.id, item.microcosm_id, item.author, *state)
        if item.type == EVENT:
            begins = world.now + datetime.timedelta(days=100)
            local = begins.replace(tzinfo=None)
            rows["events"].append((site, item.id, local, begins, "UTC", 60, "upcoming"))
        if item.type == POLL:
            rows["polls"].append((site, item.id, "Which?"))
            rows["poll_choices"] += [(site, item.id, "This", 1), (site, item.id, "That", 2)]
    for huddle in world.huddles.values():
        item_row(HUDDLE, huddle.id, None, huddle.author, True, False, False)
        rows["huddles"].append((site, huddle.id, huddle.is_confidential))
        for id in huddle.participants:
            rows["huddle_participants"].append((site, huddle.id, id))


def _typed(value: Value) -> Row:
    """An attribute's type and its four value columns (content 9.2)."""
    if isinstance(value, bool):
        return 4, None, None, None, value
    if isinstance(value, (int, float)):
        return 3, None, None, value, None
    if isinstance(value, datetime.date):
        return 2, None, value, None, None
    return 1, value, None, None, None


def criterion_row(one: Criterion) -> Row:
    """A criterion as the engine stores what the API took."""
    value = one.value.isoformat() if isinstance(one.value, datetime.date) else one.value
    made = criterion.Criterion.make(
        one.or_group, one.column or "", one.key or "", one.predicate, value
    )
    return (
        one.or_group,
        one.column,
        one.key,
        one.predicate,
        json.dumps(value),
        *criterion.comparison(made),
    )


class Loader:
    """Record of what the engine's own statements find of a world; each thing is asked for once."""

    def __init__(self, database: Database, world: World) -> None:
        self.world = world
        self.reader = database.read()
        self.tree: Tree = load_tree(self.reader, world.site_id, 1)
        self._people: dict[tuple[int, int], Principal] = {(0, 0): GUEST_CALLER}
        self._targets: dict[tuple[int, int, int, int], Target] = {}

    def principal(self, profile_id: int, number: int = 0) -> Principal:
        """The caller under a token of theirs, by the statement that every signed-in request begins with."""
        found = self._people.get((profile_id, number))
        if found is None:
            asked, secret = identity.IdentityQuery(identity.IDENTITY), token(profile_id, number)
            found = identity.find(self.reader, self.world.site_id, secret, asked).principal
            self._people[profile_id, number] = found
        return found

    def target(self, profile_id: int, number: int, asked: Asked) -> Target:
        """Return what the permission is asked for, as the engine locates it for this caller."""
        if not asked.id:
            return Target(asked.type, 0, asked.microcosm_id)
        if not asked.type:
            return Target(0, asked.id, asked.microcosm_id)
        # Only what is in a huddle, or is an attendance, is located with the caller in view.
        has_viewer = asked.type in (COMMENT, HUDDLE, ATTENDEE)
        viewer = (profile_id, number) if has_viewer else (0, 0)
        key = (*viewer, asked.type, asked.id)
        found = self._targets.get(key)
        if found is None:
            found = self._targets[key] = self._locate(self.principal(*viewer), asked)
        return found

    def _locate(self, principal: Principal, asked: Asked) -> Target:
        site_id, profile_id = self.world.site_id, principal.profile_id
        if asked.type == ATTENDEE and asked.id in self.world.attendees:
            # An attendance has no number of its own: it is an event's and a profile's.
            one = self.world.attendees[asked.id]
            found = attendee.find(self.reader, site_id, one.event_id, one.profile_id)
            assert found is not None
            return found.attendee_target(one.profile_id, profile_id)
        place = permission_target.find(
            self.reader, site_id, self.tree, principal, asked.type, asked.id
        )
        return place.target if place.exists or asked.type != COMMENT else unseen_comment(asked.id)
