"""NULL in every column that may hold it: every route still answers, and as the API document says."""

from __future__ import annotations

import re

import psycopg
import pytest

from forumapi import routes
from tests.api import Api
from tests.factories import Factory

NEED_A_QUERY = frozenset(
    (
        "/api/v1/geocode",
        "/api/v1/resolve",
        "/auth/huddles",
        "/mail/appeal",
        "/mail/report",
        "/mail/unsubscribe",
        "/oauth/authorize",
        "/oauth/link",
    )
)
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
# Without these a row is nowhere at all: whose site, whose parent, when it was sent.
KEPT = frozenset(
    (
        # Null in signatures alone, which no list shows.
        ("audit_entries", "audit_id"),
        ("bans", "user_id"),
        ("comments", "item_id"),
        ("comments", "on_profile_id"),
        ("items", "microcosm_id"),
        ("microcosms", "parent_id"),
        ("sites", "owned_by"),
        ("sites", "root_microcosm_id"),
    )
)


@pytest.mark.wide
def test_every_nullable_column_may_be_null(api: Api, make: Factory, database_url: str) -> None:
    site = make.site()
    place = make.microcosm(site)
    chat = make.conversation(site, microcosm=place)
    comment = make.comment(chat)
    answer = make.comment(chat, by=site.owner, reply_to=comment)
    make.comment(site.member, by=site.member)
    huddle = make.huddle(site.member, site.owner)
    make.comment(huddle)
    body = {"markdown": "edited", "title": "edited", "meta": {"editReason": "because"}}
    for thing in (comment, chat, place):
        assert api.put(thing.path, body, by=site.owner).status == 302
    nulled = set()
    with psycopg.connect(database_url, autocommit=True) as connection:
        columns = connection.execute(
            """SELECT c.table_name, c.column_name,
                      EXISTS (SELECT 1 FROM information_schema.columns s
                               WHERE s.table_name = c.table_name AND s.column_name = 'site_id')
                 FROM information_schema.columns c
                 JOIN pg_tables t ON t.tablename = c.table_name AND t.schemaname = 'public'
                WHERE c.table_schema = 'public' AND c.is_nullable = 'YES'
                  AND c.is_generated = 'NEVER' AND c.column_name <> 'site_id'
                ORDER BY 1, 2"""
        ).fetchall()
        for table, column, has_site in columns:
            if (table, column) in KEPT:
                continue
            where = "site_id = %s"
            if not has_site:
                where = "user_id IN (SELECT user_id FROM profiles WHERE site_id = %s)"
                if table != "users":
                    continue
            changed = connection.execute(
                f"UPDATE {table} SET {column} = NULL WHERE {where}", (site.id,)
            ).rowcount
            if changed:
                nulled.add(f"{table}.{column}")
        connection.execute(
            "UPDATE sites SET version = version + 1, acl_version = acl_version + 1 WHERE site_id = %s",
            (site.id,),
        )
    assert {"comments.in_reply_to", "items.edited", "profiles.gender", "users.state"} <= nulled

    ids = {
        "microcosm": place.id,
        "conversation": chat.id,
        "comment": answer.id,
        "event": make.event(site).id,
        "huddle": huddle.id,
        "profile": site.member.id,
        "poll": make.poll(site).id,
        "site": site.id,
        "user": site.member.user_id,
    }
    for url, handler in routes.SITE.items():
        if "GET" not in handler.operations or "<token>" in url or "<code>" in url:
            continue
        if url in NEED_A_QUERY:
            continue  # 400 without a query
        if url.startswith("/api/v1/live"):
            continue  # a WebSocket, and 400 without a topic
        kind = re.search(r"<(\w+):item>", url)
        path = url.replace("<profile:profileId>", str(site.member.id))
        path = path.replace("<number:revision>", "1")
        path = path.replace("<method>", "google").replace("<template>", "mentioned")
        path = _PARAMETER.sub(str(ids[kind[1]]) if kind else "1", path)
        for by in site.cast().values():
            got = api.get(path, site=site, by=by)
            assert got.status in (200, 307, 403, 404), (path, got.status, got.body[:300])
