"""Local checks in the transaction that writes, on sites with `beforeShown`, where nobody may read what a check holds;
services are asked later.
"""

from __future__ import annotations

from typing import Final

import msgspec

from forumapi.checks.check import HOLD
from forumapi.checks.check_queue import HELD, ContentCheck, text_hash
from forumapi.checks.check_settings import CheckSettings
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.itemtypes import ItemRef
from forumapi.models.sites.site import Site
from forumapi.wire.json_fragments import dumps

INSERT_HELD: Final = Query(
    "check_at_writing.insert_held",
    """
    INSERT INTO content_checks (site_id, item_type_id, item_id, author_id, state, verdicts, done, text_hash)
    VALUES (%(site_id)s, %(item_type)s, %(item_id)s, %(author_id)s, %(state)s, %(verdicts)s::jsonb, now(),
            %(text_hash)s)""",
)


def hold(tx: Transaction, site: Site, ref: ItemRef, author_id: int) -> bool:
    """Judge the thing `ref`, which `tx` has just written, by the site's local checks; if one of them holds it, hide it
    and open its case. Return True if it was hidden, with the verdicts stored; else nothing is stored. No statement is
    run for a site without `beforeShown`.

    `author_id`: the author of the thing. The caller sees to it that the author does not moderate the thing, and that it
    is not in a huddle.
    """
    if not site.first_checks:
        return False
    settings = msgspec.json.decode(site.first_checks, type=CheckSettings)
    checks = settings.local_checks()
    written = ContentCheck(site.id, 0, *ref, author_id, 0)
    is_compared = settings.sameText > 0
    found = written.facts(tx, site.url, is_compared=is_compared) if checks else None
    if found is None:
        return False
    judged = [(check.name, check.judge(found[0])) for check in checks]
    if all(verdict.word != HOLD for _, verdict in judged):
        return False
    verdicts = [
        {"check": name, "verdict": verdict.word, "reason": verdict.reason, "milliseconds": 0}
        for name, verdict in judged
    ]
    tx.run(
        INSERT_HELD,
        site_id=site.id,
        item_type=ref.type,
        item_id=ref.id,
        author_id=author_id,
        state=HELD,
        verdicts=dumps(verdicts).decode(),
        text_hash=text_hash(found[0].text),
    )
    written.hold(tx, "; ".join(f"{name}: {one.reason}" for name, one in judged if one.word == HOLD))
    return True
