"""Verification of an import: it finds nothing in a good one, and each of many damages."""

from __future__ import annotations

import pytest

from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.models.sites.site_cache import SiteCache
from forumapi.porting.loading.verification import ImportReport, Verifier, table
from tests.porting.moved import Moved


def verified(moved: Moved, tx: Transaction) -> ImportReport:
    """The report on an import, as a transaction sees it."""
    site = SiteCache(moved.make.database, moved.make.platform_domain).by_id(moved.site.id, tx)
    assert site is not None
    return Verifier(tx, moved.config, site, moved.origin, moved.reader).run()


@pytest.mark.wide
def test_what_was_just_loaded_is_right(moved: Moved) -> None:
    with moved.make.database.write() as tx:
        report = verified(moved, tx)

    assert report.differences == []
    assert report.is_right
    rows = {row.check: row for row in report.rows}
    assert rows["comments"][1:] == (9, 8, 1, 0)
    assert rows["messages"].here == 3
    assert rows["who may read"].source == rows["who may read"].here > 0
    assert any(line.startswith("comments ") for line in table(report))


_COMMENT = "(SELECT item_id FROM imported_items WHERE site_id = %(site_id)s AND item_type_id = 4 AND old_id = '{}')"
_ITEM = "(SELECT item_id FROM imported_items WHERE site_id = %(site_id)s AND item_type_id = 6 AND old_id = '{}')"
_FORUM = "(SELECT item_id FROM imported_items WHERE site_id = %(site_id)s AND item_type_id = 2 AND old_id = '{}')"
_PERSON = "(SELECT item_id FROM imported_items WHERE site_id = %(site_id)s AND item_type_id = 3 AND old_id = '{}')"
_TALK = "(SELECT item_id FROM imported_items WHERE site_id = %(site_id)s AND item_type_id = 5 AND old_id = '400')"
_POLL = "(SELECT item_id FROM imported_items WHERE site_id = %(site_id)s AND item_type_id = 7 AND old_id = '20')"


def _on_comment(change: str, old: str = "301") -> str:
    where = _COMMENT.format(old)
    return f"UPDATE comments SET {change} WHERE site_id = %(site_id)s AND comment_id = {where}"


def _on_item(change: str, old: str = "20") -> str:
    where = _ITEM.format(old)
    return f"UPDATE items SET {change} WHERE site_id = %(site_id)s AND item_id = {where}"


def _on_forum(change: str, old: str = "11") -> str:
    where = _FORUM.format(old)
    return f"UPDATE microcosms SET {change} WHERE site_id = %(site_id)s AND microcosm_id = {where}"


def _on_roles(change: str, old: str) -> str:
    where = _FORUM.format(old)
    moved = "acl AS (UPDATE sites SET acl_version = acl_version + 1 WHERE site_id = %(site_id)s)"
    return (
        f"WITH {moved} UPDATE roles SET {change}"
        f" WHERE site_id = %(site_id)s AND microcosm_id = {where}"
    )


def _gone(item_type: int, old: str) -> str:
    return (
        "DELETE FROM imported_items WHERE site_id = %(site_id)s"
        f" AND item_type_id = {item_type} AND old_id = '{old}'"
    )


# What is damaged, and the check that has to find it.
DAMAGES: dict[str, tuple[str, str]] = {
    "comment lost": (_gone(4, "301"), "comments"),
    "reply lost": (_gone(4, "302"), "comments"),
    "comment on another thing": (
        _on_comment(f"item_id = {_ITEM.format('21')}, seq = 99"),
        "places",
    ),
    "author swapped": (_on_comment(f"created_by = {_PERSON.format('1')}"), "authors"),
    "guest made a member": (_on_comment(f"created_by = {_PERSON.format('2')}", "302"), "authors"),
    "time shifted by a second": (_on_comment("created = created + interval '1 second'"), "times"),
    "time shifted by a zone": (_on_comment("created = created - interval '2 hours'"), "times"),
    "deleted one shown": (_on_comment("is_deleted = false", "303"), "states"),
    "unapproved one shown": (_on_comment("is_moderated = false", "304"), "states"),
    "one hidden": (_on_comment("is_deleted = true"), "states"),
    "answer lost": (_on_comment("in_reply_to = NULL"), "answers"),
    "answer to another": (
        _on_comment(f"in_reply_to = {_COMMENT.format('301')}", "302") + " AND false",
        "",
    ),
    "answer made up": (_on_comment(f"in_reply_to = {_COMMENT.format('301')}", "300"), "answers"),
    "answer moved": (_on_comment(f"in_reply_to = {_COMMENT.format('300')}", "302"), "answers"),
    "word changed": (_on_comment("html = replace(html, 'of course', 'of curse')"), "texts"),
    "word lost": (_on_comment("html = replace(html, 'Thin', '')"), "texts"),
    "text emptied": (_on_comment("html = ''"), "texts"),
    "link turned": (_on_comment("html = replace(html, '/out/', '/in/')"), "texts"),
    "mark lost": (
        _on_comment("html = replace(replace(html, '<strong>', ''), '</strong>', '')"),
        "texts",
    ),
    "source changed": (_on_comment("markdown = markdown || '.'"), "sources"),
    "letter's case": (_on_comment("markdown = lower(markdown)"), "sources"),
    "long text cut": (_on_comment("html = left(html, 50000)", "305"), "texts"),
    "two swapped": (
        "UPDATE comments SET seq = 1000 - seq WHERE site_id = %(site_id)s AND item_id = "
        + _ITEM.format("20"),
        "order",
    ),
    "revision lost": (
        "DELETE FROM comment_revisions WHERE site_id = %(site_id)s AND comment_id = "
        + _COMMENT.format("300"),
        "revisions",
    ),
    "conversation lost": (_gone(6, "20"), "conversations"),
    "title cut": (_on_item("title = left(title, 8)"), "titles"),
    "title in small letters": (_on_item("title = lower(title)"), "titles"),
    "conversation moved": (_on_item(f"microcosm_id = {_FORUM.format('10')}", "21"), "places"),
    "conversation's author": (_on_item(f"created_by = {_PERSON.format('2')}"), "authors"),
    "conversation's time": (_on_item("created = created + interval '1 day'"), "times"),
    "conversation closed": (_on_item("is_open = false"), "states"),
    "conversation no longer sticky": (_on_item("is_sticky = false"), "states"),
    "deleted conversation shown": (_on_item("is_deleted = false", "22"), "states"),
    "views lost": (
        "UPDATE item_views SET views = 0 WHERE site_id = %(site_id)s AND item_id = "
        + _ITEM.format("20"),
        "views",
    ),
    "count wrong": (_on_item("comment_count = comment_count + 1"), "stored counts"),
    "forum lost": (_gone(2, "11"), "forums"),
    "forum's title": (_on_forum("title = left(title, 4)"), "titles"),
    "forum's text": (_on_forum("description = 'x'", "10"), "descriptions"),
    "forum moved": (
        _on_forum("parent_id = (SELECT root_microcosm_id FROM sites WHERE site_id = %(site_id)s)"),
        "places",
    ),
    "forum hidden": (_on_forum("is_deleted = true"), "states"),
    "guests let in": (_on_roles("include_guests = true", "11"), "who may read"),
    "all members let in": (_on_roles("include_users = true", "12"), "who may read"),
    "members kept out": (_on_roles("can_read = false", "11"), "who may read"),
    "guests may write": (_on_roles("can_create = true", "10"), "who may write"),
    "members may delete": (_on_roles("can_delete = true", "11"), "who may delete others' texts"),
    "members may edit": (_on_roles("can_update = true", "11"), "who may edit others' texts"),
    "somebody's roles lost": (
        "UPDATE profiles SET role_ids = '{}' WHERE site_id = %(site_id)s AND profile_id = "
        + _PERSON.format("2"),
        "who may read",
    ),
    "somebody in another's role": (
        (
            "UPDATE profiles SET role_ids = (SELECT p.role_ids FROM profiles p WHERE p.site_id = %(site_id)s"
            f" AND p.profile_id = {_PERSON.format('2')})"
            f" WHERE site_id = %(site_id)s AND profile_id = {_PERSON.format('3')}"
        ),
        "who may read",
    ),
    "message lost": (_gone(5, "401"), "messages"),
    "reader of messages added": (
        (
            "INSERT INTO huddle_participants (site_id, item_id, profile_id)"
            f" VALUES (%(site_id)s, {_TALK}, {_PERSON.format('3')})"
        ),
        "who has messages",
    ),
    "reader of messages lost": (
        (
            f"DELETE FROM huddle_participants WHERE site_id = %(site_id)s AND item_id = {_TALK}"
            f" AND profile_id = {_PERSON.format('1')}"
        ),
        "who has messages",
    ),
    "poll's question": (
        f"UPDATE polls SET question = 'x' WHERE site_id = %(site_id)s AND item_id = {_POLL}",
        "polls' questions",
    ),
    "poll's choice lost": (
        f"DELETE FROM poll_choices WHERE site_id = %(site_id)s AND item_id = {_POLL} AND sequence = 2",
        "polls' choices",
    ),
    "vote lost": (
        f"DELETE FROM poll_ballots WHERE site_id = %(site_id)s AND item_id = {_POLL}",
        "votes",
    ),
    "votes counted down": (
        f"UPDATE poll_choices SET vote_count = 1 WHERE site_id = %(site_id)s AND item_id = {_POLL}",
        "votes",
    ),
    "name changed": (
        "UPDATE profiles SET profile_name = 'Zoe' WHERE site_id = %(site_id)s AND profile_id = "
        + _PERSON.format("2"),
        "names",
    ),
    "joined at another time": (
        "UPDATE profiles SET created = now() WHERE site_id = %(site_id)s AND profile_id = "
        + _PERSON.format("2"),
        "times of profiles",
    ),
    "ban lifted": (
        "DELETE FROM bans WHERE site_id = %(site_id)s AND user_id IS NOT NULL",
        "banned profiles",
    ),
    "domain's ban lifted": (
        "DELETE FROM bans WHERE site_id = %(site_id)s AND email_domain IS NOT NULL",
        "bans",
    ),
    "claim lost": ("DELETE FROM imported_profiles WHERE site_id = %(site_id)s", "claims"),
    "field lost": (
        "DELETE FROM attributes WHERE site_id = %(site_id)s AND item_type_id = 3",
        "fields of profiles",
    ),
    "file unhung": (
        "DELETE FROM attachments WHERE site_id = %(site_id)s AND item_type_id = 4",
        "files in their places",
    ),
    "reaction lost": ("DELETE FROM reactions WHERE site_id = %(site_id)s", "reactions"),
    "bookmark lost": ("DELETE FROM bookmarks WHERE site_id = %(site_id)s", "bookmarks"),
    "follower lost": ("DELETE FROM watchers WHERE site_id = %(site_id)s", "follows"),
    "ignored one heard again": ("DELETE FROM ignores WHERE site_id = %(site_id)s", "ignored"),
    "address taken for proven": (
        (
            "UPDATE users SET email_verified = true WHERE user_id IN (SELECT p.user_id FROM profiles p"
            " JOIN imported_profiles i ON i.site_id = p.site_id AND i.profile_id = p.profile_id"
            " WHERE p.site_id = %(site_id)s)"
        ),
        "unproven addresses",
    ),
    "row added": (
        (
            "INSERT INTO imported_items (site_id, origin_id, item_type_id, old_id, item_id)"
            " SELECT site_id, origin_id, 4, '9999', item_id FROM imported_items"
            " WHERE site_id = %(site_id)s AND item_type_id = 4 AND old_id = '301'"
        ),
        "comments",
    ),
}
del DAMAGES["answer to another"]


class _Undone(Exception):
    """End of a transaction that is not to be kept."""


@pytest.mark.wide
def test_each_of_many_damages_is_found(moved: Moved) -> None:
    missed = {}
    for number, (name, (statement, check)) in enumerate(DAMAGES.items()):
        damage = Query(f"test.damage_{moved.site.id}_{number}", statement)
        try:
            with moved.make.database.write() as tx:
                assert tx.run(damage, site_id=moved.site.id), f"{name}: nothing was damaged"
                report = verified(moved, tx)
                found = {row.check for row in report.rows if row.different}
                if check not in found:
                    missed[name] = found
                raise _Undone
        except _Undone:
            pass
    assert missed == {}
    assert len(DAMAGES) >= 50
