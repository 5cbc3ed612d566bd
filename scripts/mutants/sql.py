"""Mutation operators for SQL inside string literals, as Cosmic Ray expects operators."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from cosmic_ray.operators.operator import Example, Operator


class SqlOperator(Operator):
    """Base class of operators that replace a match of `pattern` in a string by `replacement`; each match is an
    occurrence.
    """

    pattern: re.Pattern[str]
    replacement: str
    pair: tuple[str, str]

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type in ("string", "fstring_string"):
            for _ in self.pattern.finditer(node.value):
                yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        match = list(self.pattern.finditer(node.value))[index]
        changed = match.expand(self.replacement)
        node.value = node.value[: match.start()] + changed + node.value[match.end() :]
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        before, after = cls.pair
        return (Example(f'"""{before}"""', f'"""{after}"""'),)


class SiteCondition(SqlOperator):
    """Operator: a row's site is compared with itself, so that the condition always holds."""

    pattern = re.compile(
        r"(?<=WHERE )((?:\w+\.)?site_id) = %\(site_id\)s"
        r"|(?<=AND )((?:\w+\.)?site_id) = %\(site_id\)s"
        r"|(?<=ON )((?:\w+\.)?site_id) = %\(site_id\)s"
    )
    replacement = r"\1\2\3 = \1\2\3 AND %(site_id)s::bigint IS NOT NULL"
    pair = (
        "WHERE c.site_id = %(site_id)s",
        "WHERE c.site_id = c.site_id AND %(site_id)s::bigint IS NOT NULL",
    )


class State(SqlOperator):
    """Operator: deleted rows, or those that wait for moderation, are shown."""

    pattern = re.compile(r"\bNOT (\w+\.is_(?:deleted|moderated))\b")
    replacement = r"\1 IS NOT NULL"
    pair = ("WHERE NOT c.is_deleted", "WHERE c.is_deleted IS NOT NULL")


class Readable(SqlOperator):
    """Operator: things in any microcosm are shown."""

    pattern = re.compile(r"(\w+\.microcosm_id) = ANY\((%\(readable\)s)::bigint\[\]\)")
    replacement = r"(\1 IS NOT NULL AND \2::bigint[] IS NOT NULL)"
    pair = (
        "i.microcosm_id = ANY(%(readable)s::bigint[])",
        "(i.microcosm_id IS NOT NULL AND %(readable)s::bigint[] IS NOT NULL)",
    )


class Lock(SqlOperator):
    """Operator: rows are read without being locked."""

    pattern = re.compile(r"\s+FOR (?:NO KEY )?UPDATE(?: OF \w+)?(?! SET)")
    replacement = ""
    pair = ("SELECT 1 FROM drafts d FOR UPDATE", "SELECT 1 FROM drafts d")


class Later(SqlOperator):
    """Operator: of two times the new one is taken, even if it is the earlier."""

    pattern = re.compile(r"greatest\([\w.]+, ((?:EXCLUDED\.\w+|now\(\)))\)")
    replacement = r"\1"
    pair = ("greatest(r.read_at, EXCLUDED.read_at)", "EXCLUDED.read_at")


class Order(SqlOperator):
    """Operator: a list is in the reverse order."""

    pattern = re.compile(r"(ORDER BY [\w.]+) DESC\b")
    replacement = r"\1"
    pair = ("ORDER BY d.draft_id DESC", "ORDER BY d.draft_id")


class Person(SqlOperator):
    """Operator: things of one profile are shown to all."""

    pattern = re.compile(r"(?<=AND )(\w+\.profile_id) = %\(me\)s")
    replacement = r"\1 = \1 AND %(me)s::bigint IS NOT NULL"
    pair = (
        "AND d.profile_id = %(me)s",
        "AND d.profile_id = d.profile_id AND %(me)s::bigint IS NOT NULL",
    )


SITE = "sql/SiteCondition"
OPERATORS: dict[str, type[SqlOperator]] = {
    f"sql/{operator.__name__}": operator
    for operator in (SiteCondition, State, Readable, Lock, Later, Order, Person)
}
