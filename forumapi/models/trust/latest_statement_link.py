"""Link from a deleted or hidden thing to its author's statement of reasons, and the SQL that finds it in statements of
pages.
"""

from __future__ import annotations

from typing import Any, Final

# SQL: the latest statement for `me` about a thing, as far as its action still holds; null for none.
LATEST: Final = """
           (SELECT x.statement_id
              FROM action_changes x
             WHERE x.site_id = {site} AND x.item_type_id = {item_type} AND x.item_id = {item}
               AND x.author_id = %(me)s AND x.state IN ('done', 'conflict') AND x.statement_id IS NOT NULL
             ORDER BY x.applied DESC LIMIT 1)"""


def link(statement_id: int) -> dict[str, Any]:
    """Return the link to the statement of reasons `statement_id`, as a dict for JSON with `rel` and `href`."""
    return {"rel": "statement", "href": f"/api/v1/statements/{statement_id}"}
