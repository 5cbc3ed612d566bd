"""Facts about a seeded database that benchmarks use: access tokens of members, and ids of remarkable conversations."""

from __future__ import annotations

import string
from random import Random
from typing import Final

import psycopg

from forumapi.command.seed.corpus import SEED
from forumapi.command.seed.simulated_activity import (
    BENCH_KEY,
    BENCH_MEMBERS,
    DEEP,
    HIDDEN,
    IGNORED,
    LONGEST,
)

TOKEN_PREFIX: Final = "fapi"
TOKEN_LENGTH: Final = 128

LANDMARKS: Final = """
    SELECT 'site_id', site_id FROM sites WHERE subdomain_key = %(key)s
    UNION ALL
    SELECT 'root_microcosm', root_microcosm_id FROM sites WHERE subdomain_key = %(key)s
    UNION ALL
    SELECT 'deep_microcosm', m.microcosm_id
      FROM sites s JOIN microcosms m USING (site_id)
     WHERE s.subdomain_key = %(key)s AND m.title = %(deep)s
    UNION ALL
    SELECT n.name, i.item_id
      FROM sites s
      JOIN items i USING (site_id)
      JOIN unnest(%(names)s::text[], %(titles)s::text[]) AS n (name, title) ON n.title = i.title
     WHERE s.subdomain_key = %(key)s
    UNION ALL
    SELECT p.profile_name, p.profile_id
      FROM sites s JOIN profiles p USING (site_id)
     WHERE s.subdomain_key = %(key)s AND p.profile_name = ANY(%(members)s)"""


def bench_tokens() -> dict[str, str]:
    """Return the access tokens of the benchmark's members by profile name; they are computed from a fixed seed.

    Anybody can compute them, so they are stored for the benchmark's site alone.
    """
    letters = string.ascii_letters + string.digits
    tokens = {}
    for name in BENCH_MEMBERS:
        rng = Random(f"{SEED} {name}")
        drawn = (letters[int(rng.random() * len(letters))] for _ in range(TOKEN_LENGTH - 4))
        tokens[name] = TOKEN_PREFIX + "".join(drawn)
    return tokens


def landmarks(database_url: str) -> dict[str, int]:
    """Return ids on the benchmark site by name; {} if `sized_data_set.load` has not filled this database.

    Names: `site_id`, `root_microcosm`, `deep_microcosm`, the conversations `longest_thread`, `hidden_thread` (with
    deleted and moderated comments) and `ignored_thread` (with comments by people whom `bench_member_2` ignores), and
    the profiles `bench_member_1` to `bench_member_16`.
    """
    named = {"longest_thread": LONGEST, "hidden_thread": HIDDEN, "ignored_thread": IGNORED}
    with psycopg.connect(database_url, autocommit=True) as connection:
        rows = connection.execute(
            LANDMARKS,
            {
                "key": BENCH_KEY,
                "deep": DEEP,
                "names": list(named),
                "titles": list(named.values()),
                "members": list(BENCH_MEMBERS),
            },
        ).fetchall()
    return {str(name): int(number) for name, number in rows}
