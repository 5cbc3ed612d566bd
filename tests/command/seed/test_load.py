"""Seeded databases: right to the last count, the same every time, complete."""

import hashlib

import psycopg
import pytest

from forumapi.command.seed import CAST, SeedError, bench_tokens, demo, landmarks, load, verify
from forumapi.config import Config
from forumapi.text import render

pytestmark = [pytest.mark.slow, pytest.mark.wide]

COLUMNS = """
    SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position)
      FROM information_schema.columns
      JOIN information_schema.tables USING (table_schema, table_name)
     WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
       AND data_type <> 'timestamp with time zone' AND table_name NOT LIKE '%migration%'
     GROUP BY table_name
     ORDER BY table_name"""


def rows(url, query, *params):
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query, params or None).fetchall()


def value(url, query, *params):
    return rows(url, query, *params)[0][0]


def content(url):
    """A hash of each table's content without its times."""
    found = {}
    for table, columns in rows(url, COLUMNS):
        listed = ", ".join(f'"{column}"' for column in columns)
        found[table] = value(
            url,
            f"""SELECT md5(string_agg(line, E'\\n' ORDER BY line COLLATE "C"))
                  FROM (SELECT ROW({listed})::text AS line FROM {table}) x""",
        )
    return found


@pytest.fixture(scope="module")
def small(new_database):
    """A database of size S."""
    url = new_database("small")
    before = rows(url, "SELECT indexname, indexdef FROM pg_indexes ORDER BY 1")
    shown: list[str] = []
    load(url, Config(), "S", shown.append)
    assert rows(url, "SELECT indexname, indexdef FROM pg_indexes ORDER BY 1") == before
    assert any("12,000/12,000" in line for line in shown)
    return url


@pytest.fixture(scope="module")
def demonstration(new_database):
    """A database with the demo sites."""
    url = new_database("demonstration")
    demo(url, Config(), lambda line: None)
    return url


def test_every_count_of_a_load_is_right(small):
    assert verify(small) == []


def test_a_load_has_exactly_its_size(small):
    counted = "SELECT (SELECT count(*) FROM sites), (SELECT count(*) FROM profiles),"
    counted += " (SELECT count(*) FROM items), (SELECT count(*) FROM comments)"

    # The platform's own site is there before.
    assert rows(small, counted) == [(1 + 3, 500, 2_500, 12_000)]


@pytest.mark.wide
def test_two_loads_differ_in_times_only_and_leave_room_for_the_demo(small, new_database):
    again = new_database("again")
    load(again, Config(), "S", lambda line: None)

    assert content(again) == content(small)

    demo(again, Config(), lambda line: None)

    assert verify(again) == []


def test_a_second_load_is_refused_and_changes_nothing(small):
    before = content(small)

    with pytest.raises(SeedError, match="bench"):
        load(small, Config(), "S", lambda line: None)

    assert content(small) == before


def test_stored_html_is_what_the_pipeline_makes(small):
    jump = Config().short_links
    links = {url: jump + code for url, code in rows(small, "SELECT url, code FROM links")}
    names = {
        (site_id, name.lower()): profile_id
        for site_id, name, profile_id in rows(
            small, "SELECT site_id, profile_name, profile_id FROM profiles"
        )
    }
    sample = rows(
        small,
        "SELECT site_id, markdown, html, renderer FROM comments"
        " WHERE comment_id % 20 = 0 OR html LIKE '%/profiles/%' OR html LIKE '%/out/%'",
    )
    assert len(sample) > 600
    for site_id, markdown, html, renderer in sample:
        draft = render.prepare(markdown, own_hosts=frozenset(), file_host=None, jump=jump)
        people = {
            name: names[site_id, name] for name in draft.mention_names if (site_id, name) in names
        }
        made = render.finish(draft, mentions=people, short_links=links)
        assert (html, renderer) == (made.html, render.RENDERER_VERSION)


def test_landmarks_name_what_the_benchmark_opens(small):
    found = landmarks(small)
    threads = [found["longest_thread"], found["hidden_thread"], found["ignored_thread"]]

    assert rows(
        small,
        "SELECT comment_count, last_seq FROM items WHERE site_id = %s AND item_id = ANY(%s)"
        " ORDER BY array_position(%s, item_id)",
        found["site_id"],
        threads,
        threads,
    ) == [(300, 300), (285, 300), (300, 300)]
    heavy = rows(
        small,
        "SELECT p.profile_name, a.live FROM item_authors a JOIN profiles p USING (site_id, profile_id)"
        " WHERE a.item_id = %s AND p.profile_name LIKE 'heavy%%' ORDER BY 1",
        found["ignored_thread"],
    )
    assert heavy == [("heavy_1", 30), ("heavy_2", 30), ("heavy_3", 30)]
    assert (
        value(
            small,
            "SELECT item_count FROM microcosm_counts WHERE microcosm_id = %s",
            found["deep_microcosm"],
        )
        == 400
    )
    assert (
        value(
            small, "SELECT count(*) FROM microcosms WHERE parent_id = %s", found["root_microcosm"]
        )
        == 20
    )


def test_a_bench_member_follows_500_things_and_ignores_20(small):
    for table, expected in (("watchers", 500), ("ignores", 20)):
        counts = rows(
            small,
            f"SELECT p.profile_name, count(*) FROM {table} x JOIN profiles p USING (site_id, profile_id)"
            " WHERE p.profile_name LIKE 'bench_member%' GROUP BY 1",
        )
        assert dict(counts) == dict.fromkeys(bench_tokens(), expected)


def test_only_one_member_ignores_people_of_the_long_threads(small):
    found = landmarks(small)

    assert rows(
        small,
        "SELECT DISTINCT p.profile_name, a.item_id FROM ignores g"
        "  JOIN profiles p USING (site_id, profile_id)"
        "  JOIN item_authors a ON a.site_id = g.site_id AND a.profile_id = g.item_id"
        " WHERE g.item_type_id = 3 AND a.item_id = ANY(%s)",
        [found["longest_thread"], found["hidden_thread"], found["ignored_thread"]],
    ) == [("bench_member_2", found["ignored_thread"])]


def test_tokens_of_bench_members_are_stored_hashed_for_their_site_alone(small):
    found = landmarks(small)
    hashes = [hashlib.sha256(token.encode()).digest() for token in bench_tokens().values()]

    stored = rows(small, "SELECT token_hash, site_id, expires > now() FROM access_tokens")
    assert sorted(stored) == sorted((digest, found["site_id"], True) for digest in hashes)


@pytest.mark.parametrize(
    ("damage", "repair", "seen"),
    [
        (
            "UPDATE items SET comment_count = comment_count + 1 WHERE item_id = 5",
            "UPDATE items SET comment_count = comment_count - 1 WHERE item_id = 5",
            "items.comment_count",
        ),
        (
            "UPDATE item_authors SET live = live + 1 WHERE item_id = 5",
            "UPDATE item_authors SET live = live - 1 WHERE item_id = 5",
            "item_authors.live",
        ),
        (
            "UPDATE microcosm_counts SET item_count = item_count + 1 WHERE microcosm_id = 3",
            "UPDATE microcosm_counts SET item_count = item_count - 1 WHERE microcosm_id = 3",
            "microcosm_counts",
        ),
        (
            "UPDATE comments SET is_deleted = true WHERE comment_id = 900 AND NOT is_deleted",
            "UPDATE comments SET is_deleted = false WHERE comment_id = 900",
            "profile_counters",
        ),
        (
            "SELECT setval(pg_get_serial_sequence('comments', 'comment_id'), 10)",
            "SELECT setval(pg_get_serial_sequence('comments', 'comment_id'), 12000)",
            "comments_comment_id_seq",
        ),
    ],
)
def test_a_wrong_count_is_found(small, damage, repair, seen):
    with psycopg.connect(small, autocommit=True) as connection:
        connection.execute(damage)
        try:
            assert any(line.startswith(("public." + seen, seen)) for line in verify(small))
        finally:
            connection.execute(repair)
    assert verify(small) == []


def test_every_count_of_the_demo_is_right(demonstration):
    assert verify(demonstration) == []


@pytest.mark.parametrize("key", ["bikes", "trains"])
def test_the_cast_of_the_demo_is_there(demonstration, key):
    cast = {
        name: (address, items, comments)
        for name, address, items, comments in rows(
            demonstration,
            "SELECT p.profile_name, u.email, c.item_count, c.comment_count"
            "  FROM sites s JOIN profiles p USING (site_id) JOIN users u USING (user_id)"
            "  JOIN profile_counters c USING (site_id, profile_id)"
            " WHERE s.subdomain_key = %s AND p.profile_name = ANY(%s)",
            key,
            list(CAST),
        )
    }

    assert {name: entry[0] for name, entry in cast.items()} == {n: f"{n}@{key}.test" for n in CAST}
    assert cast["newcomer"][1:] == (0, 0)
    assert all(cast[name][2] > 0 for name in CAST if name != "newcomer")


@pytest.mark.parametrize("key", ["bikes", "trains"])
def test_the_demo_has_the_default_roles_and_who_is_in_them(demonstration, key):
    found = rows(
        demonstration,
        "SELECT r.title, r.is_moderator, r.is_banned, r.include_guests, r.include_users, r.can_create,"
        "       r.can_read, r.can_update, r.can_delete, r.can_close_own, r.can_open_own,"
        "       r.can_read_others, coalesce(string_agg(p.profile_name, ' '), '')"
        "  FROM sites s JOIN roles r ON r.site_id = s.site_id AND r.microcosm_id = s.root_microcosm_id"
        "  LEFT JOIN role_profiles m ON m.site_id = r.site_id AND m.role_id = r.role_id"
        "  LEFT JOIN profiles p ON p.site_id = m.site_id AND p.profile_id = m.profile_id"
        " WHERE s.subdomain_key = %s GROUP BY r.site_id, r.role_id ORDER BY r.role_id",
        key,
    )

    f, t = False, True
    assert found == [
        ("Guests", f, f, t, f, f, t, f, f, f, f, f, ""),
        ("Members", f, f, f, t, t, t, f, f, t, f, t, ""),
        ("Banned", f, t, f, f, f, f, f, f, f, f, f, "banned"),
        ("Moderators", t, f, f, f, t, t, t, t, t, t, t, "moderator"),
    ]


def test_the_demo_site_belongs_to_its_owner(demonstration):
    assert rows(
        demonstration,
        "SELECT s.subdomain_key, p.profile_name, m.parent_id, m.title FROM sites s"
        "  JOIN profiles p ON p.site_id = s.site_id AND p.profile_id = s.owned_by"
        "  JOIN microcosms m ON m.site_id = s.site_id AND m.microcosm_id = s.root_microcosm_id"
        " ORDER BY 1",
    ) == [("bikes", "owner", None, "Forums"), ("trains", "owner", None, "Forums")]


@pytest.mark.parametrize("key", ["bikes", "trains"])
def test_the_demo_has_an_event_a_poll_and_a_huddle_for_each_person(demonstration, key):
    events = rows(
        demonstration,
        "SELECT e.when_utc > now(), e.rsvp_attending, count(*) FILTER (WHERE a.state_id = 1)::int, i.comment_count > 0"
        "  FROM sites s JOIN items i USING (site_id) JOIN events e USING (site_id, item_id)"
        "  JOIN attendees a USING (site_id, item_id)"
        " WHERE s.subdomain_key = %s GROUP BY e.site_id, e.item_id, i.site_id, i.item_id",
        key,
    )
    polls = rows(
        demonstration,
        "SELECT p.voter_count, array_agg(c.vote_count ORDER BY c.sequence)"
        "  FROM sites s JOIN polls p USING (site_id) JOIN poll_choices c USING (site_id, item_id)"
        " WHERE s.subdomain_key = %s GROUP BY p.site_id, p.item_id",
        key,
    )
    huddles = rows(
        demonstration,
        "SELECT i.title = 'Welcome', array_agg(p.profile_name ORDER BY p.profile_name), i.comment_count"
        "  FROM sites s JOIN items i USING (site_id) JOIN huddle_participants h USING (site_id, item_id)"
        "  JOIN profiles p USING (site_id, profile_id)"
        " WHERE s.subdomain_key = %s GROUP BY i.site_id, i.item_id ORDER BY 1",
        key,
    )

    assert events == [(True, 7, 7, True)]
    assert polls == [(9, [5, 3, 1])]
    assert huddles == [
        (False, ["member", "moderator", "owner"], 3),
        (True, ["moderator", "newcomer"], 1),
    ]
