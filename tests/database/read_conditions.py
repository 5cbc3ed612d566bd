"""Checker of lists: what a statement returns is of things that were named, or is readable by the viewer.

Tables in `THINGS` hold what microcosms and huddles give rights on. An alias of one is *restricted* when a condition
that always holds equates one of its key columns (`microcosm_id`, `item_id`, …) with

- a parameter: it names the thing, on which permission was asked for before, or is the set of readable ids;
- a key column of a restricted alias, or a column of a subquery or CTE that holds such keys in all its branches;
- anything, for a comment's `on_profile_id`: comments on profiles are everybody's;

or the column of a person who may read the row (`READERS`) with a parameter that is the viewer. A row that somebody
keeps about a thing (a watcher, a bookmark, an answer to an event) restricts nothing: rights may have changed since it
was written. Of a condition below OR or CASE each branch must restrict the alias or exclude its row (`IS NULL`). What
stands below NOT restricts nothing, a condition of an outer join its nullable side alone. EXISTS returns no row, and is
not checked. Functions are taken at their word: those that get the readable ids return what may be read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pglast import ast, enums, parse_sql
from pglast.parser import parse_sql_json

# Columns by which a row's thing is found.
THINGS: Final[Mapping[str, frozenset[str]]] = {
    table: frozenset(columns.split())
    for table, columns in {
        "attachments": "attachment_id item_id",
        "attendees": "item_id",
        "attributes": "item_id",
        "comment_revisions": "comment_id",
        # A reply stands where the comment stands that it answers.
        "comments": "comment_id item_id in_reply_to",
        "events": "item_id",
        "huddle_participants": "item_id",
        "huddles": "item_id",
        "imported_items": "old_id",
        "items": "item_id microcosm_id",
        "link_uses": "comment_id",
        "microcosms": "microcosm_id parent_id",
        "poll_choices": "item_id",
        "polls": "item_id",
        "reactions": "item_id",
        "search_documents": "item_id place_id",
    }.items()
}
# Columns of persons who may read the row, and the parameters that are the viewer.
READERS: Final = {
    "huddle_participants": "profile_id",
    "items": "created_by",
    "comments": "created_by",
}
_VIEWER: Final = frozenset(("me", "participant"))
# Tables whose rows everybody may read, and a column that makes a row one of these.
_PUBLIC: Final = frozenset(("profiles", "sites"))
_PUBLIC_COLUMN: Final = "on_profile_id"
# Parameters that are no ids of things.
_SITES: Final = frozenset(("site_id", "site_ids", "sites"))
_KNOWN: Final = object()
# Name that stands for all columns of a subquery.
_ALL: Final = "*"
# Operators that let only equal values through: `=`, `= ANY`, `IN`, `IS NOT DISTINCT FROM`.
_EQUAL: Final = (
    enums.A_Expr_Kind.AEXPR_OP,
    enums.A_Expr_Kind.AEXPR_OP_ANY,
    enums.A_Expr_Kind.AEXPR_IN,
    enums.A_Expr_Kind.AEXPR_NOT_DISTINCT,
)

Columns = list[tuple[str, bool]]


@dataclass
class Source:
    """One alias of a FROM list. `keys` is empty if it needs no restriction; `known`: its columns with readable ids."""

    name: str
    table: str
    keys: frozenset[str] = frozenset()
    known: set[str] = field(default_factory=set)
    is_known: bool = False  # all columns are
    is_filtered: bool = False  # by a condition on all rows, not on those of an outer join alone

    def has(self, column: str) -> bool:
        return self.is_known or column in self.known or _ALL in self.known


@dataclass
class Scope:
    """The aliases that one query level sees, and the levels around it."""

    outer: Scope | None
    ctes: dict[str, Columns]
    sources: list[Source] = field(default_factory=list)
    # Conditions, with the aliases on which they hold (None: all).
    conditions: list[tuple[Any, frozenset[int] | None]] = field(default_factory=list)
    derived: list[tuple[Source, Any]] = field(default_factory=list)
    functions: list[Any] = field(default_factory=list)


@dataclass
class Checker:
    """Checker of one SELECT; `parameters` are its names, in their order."""

    parameters: Sequence[str]
    loose: list[str] = field(default_factory=list)

    def check(self, text: str) -> list[str]:
        """Return the aliases that nothing restricts, each as `alias (table)`."""
        for raw in parse_sql(text):
            self.query(raw.stmt, None, {})
        return self.loose

    # ------------------------------------------------------------ queries

    def query(
        self,
        node: Any,
        outer: Scope | None,
        ctes: Mapping[str, Columns],
        *,
        is_compared: bool = False,
    ) -> Columns:
        """Check one query level and those inside; return its columns: (name, holds ids that may be read).

        `is_compared`: its first column is equated with such ids from outside.
        """
        scope, columns = self._level(node, outer, ctes, is_compared=is_compared)
        if scope is None:
            return columns
        for source in scope.sources:
            if source.keys and not source.is_known:
                self.loose.append(f"{source.name} ({source.table})")
        for _, select in scope.derived:
            self.query(select, scope, scope.ctes)
        for part in (
            node.targetList,
            node.whereClause,
            node.sortClause,
            node.groupClause,
            node.havingClause,
            [condition for condition, _ in scope.conditions if condition is not node.whereClause],
            scope.functions,
        ):
            for select, compared in self._selects(part, scope):
                self.query(select, scope, scope.ctes, is_compared=compared)
        return columns

    def _probe(
        self, node: Any, scope: Scope, *, is_compared: bool = False
    ) -> tuple[Scope | None, Columns]:
        """Work out a subquery's level without noting its faults."""
        return Checker(self.parameters)._level(node, scope, scope.ctes, is_compared=is_compared)

    def _level(
        self, node: Any, outer: Scope | None, ctes: Mapping[str, Columns], *, is_compared: bool
    ) -> tuple[Scope | None, Columns]:
        if not isinstance(node, ast.SelectStmt):
            raise NotImplementedError(type(node).__name__)
        scope = Scope(outer, dict(ctes))
        if node.withClause is not None:
            for cte in node.withClause.ctes:
                if node.withClause.recursive:
                    first = cte.ctequery
                    while first.larg is not None:
                        first = first.larg
                    scope.ctes[cte.ctename] = _named(
                        self._probe(first, scope)[1], cte.aliascolnames
                    )
                columns = self.query(cte.ctequery, outer, scope.ctes)
                scope.ctes[cte.ctename] = _named(columns, cte.aliascolnames)
        if node.larg is not None:
            left = self.query(node.larg, outer, scope.ctes, is_compared=is_compared)
            right = self.query(node.rarg, outer, scope.ctes, is_compared=is_compared)
            pairs = zip(left, right, strict=True)
            return None, [(name, one and other) for (name, one), (_, other) in pairs]
        if node.valuesLists:
            width = range(len(node.valuesLists[0]))
            return None, [
                (f"column{n + 1}", all(self._is_known(row[n], scope) for row in node.valuesLists))
                for n in width
            ]
        for item in node.fromClause or ():
            self._source(item, scope)
        if node.whereClause is not None:
            scope.conditions.append((node.whereClause, None))
        if is_compared:
            value = node.targetList[0].val
            scope.conditions.append((_Equation(value, _KNOWN), None))
        self._spread(scope)
        return scope, self._columns(node.targetList or (), scope)

    # ------------------------------------------------------------ FROM

    def _source(self, node: Any, scope: Scope) -> frozenset[int]:
        """Add what a FROM item names; return the places of its aliases in the scope."""
        first = len(scope.sources)
        if isinstance(node, ast.RangeVar):
            name = node.alias.aliasname if node.alias else node.relname
            if node.relname in scope.ctes:
                known = {column for column, is_known in scope.ctes[node.relname] if is_known}
                scope.sources.append(Source(name, node.relname, known=known))
            else:
                keys = THINGS.get(node.relname, frozenset())
                is_known = node.relname in _PUBLIC
                scope.sources.append(Source(name, node.relname, keys, is_known=is_known))
        elif isinstance(node, ast.JoinExpr):
            left = self._source(node.larg, scope)
            right = self._source(node.rarg, scope)
            only = {
                enums.JoinType.JOIN_INNER: None,
                enums.JoinType.JOIN_LEFT: right,
                enums.JoinType.JOIN_RIGHT: left,
            }.get(node.jointype, frozenset())
            if node.quals is not None:
                scope.conditions.append((node.quals, only))
        elif isinstance(node, ast.RangeSubselect):
            source = Source(node.alias.aliasname, "subquery")
            scope.sources.append(source)
            scope.derived.append((source, node.subquery))
            self._derive(source, node.subquery, scope)
        elif isinstance(node, ast.RangeFunction):
            names = [column.sval for column in (node.alias.colnames if node.alias else None) or ()]
            source = Source(node.alias.aliasname if node.alias else "", "function")
            arguments = [
                argument
                for function in node.functions
                for argument in getattr(function[0], "args", None) or ()
            ]
            source.known = {
                name
                for name, argument in zip(names, arguments, strict=False)
                if self._is_known(argument, scope)
            }
            # A function that is handed the readable ids returns ids of what may be read.
            source.is_known = any(self._is_readable(argument) for argument in arguments)
            scope.sources.append(source)
            scope.functions.append(node.functions)
        else:
            raise NotImplementedError(type(node).__name__)
        return frozenset(range(first, len(scope.sources)))

    def _derive(self, source: Source, select: Any, scope: Scope) -> bool:
        """Note the known columns of a subquery in FROM; return if there are more than before."""
        known = {name for name, is_known in self._probe(select, scope)[1] if is_known}
        more = not known <= source.known
        source.known |= known
        return more

    def _is_readable(self, node: Any) -> bool:
        node = _bare(node)
        return isinstance(node, ast.ParamRef) and self.parameters[node.number - 1] == "readable"

    # ------------------------------------------------------------ conditions

    def _spread(self, scope: Scope) -> None:
        moved = True
        while moved:
            moved = False
            for place, source in enumerate(scope.sources):
                for node, only in scope.conditions:
                    if source.is_known:
                        break
                    if only is not None and place not in only:
                        if source.keys and self._is_followed(node, source, only, scope):
                            source.is_known = moved = True
                        continue
                    if source.keys:
                        if self._fixes(node, source, source.keys, scope):
                            source.is_known = moved = True
                            source.is_filtered = only is None
                        continue
                    for column in _columns_of(node, source.name) - source.known:
                        if self._fixes(node, source, frozenset((column,)), scope):
                            source.known.add(column)
                            moved = True
            for source, select in scope.derived:
                moved |= self._derive(source, select, scope)

    def _is_followed(self, node: Any, source: Source, only: frozenset[int], scope: Scope) -> bool:
        """Return if an outer join finds the item of `source` by its key alone, and that item is filtered afterwards."""
        items = [scope.sources[place] for place in only if scope.sources[place].is_filtered]
        parts = node.args if isinstance(node, ast.BoolExpr) else [node]
        for item in items:
            sides = [(part.lexpr, part.rexpr) for part in parts if _is_equation(part)]
            keys = {self._column(one, item, scope): other for one, other in sides}
            is_by_key = len(parts) == len(sides) and keys.keys() == {"site_id", "item_id"}
            if is_by_key and "item_id" in _columns_of(keys["item_id"], source.name):
                return True
        return False

    def _fixes(self, node: Any, source: Source, columns: frozenset[str], scope: Scope) -> bool:
        """Return if a condition lets only rows of `source` through one of whose `columns` may be read, or is NULL."""

        def fixes(part: Any) -> bool:
            return self._fixes(part, source, columns, scope)

        node = _bare(node)
        if isinstance(node, ast.BoolExpr):
            if node.boolop == enums.BoolExprType.AND_EXPR:
                return any(map(fixes, node.args))
            return node.boolop == enums.BoolExprType.OR_EXPR and all(map(fixes, node.args))
        if isinstance(node, ast.CaseExpr):
            branches = [
                fixes(when.result) or (node.arg is None and fixes(when.expr)) for when in node.args
            ]
            return all(branches) and (node.defresult is None or fixes(node.defresult))
        if isinstance(node, ast.A_Const):
            return node.isnull or (isinstance(node.val, ast.Boolean) and not node.val.boolval)
        if isinstance(node, ast.NullTest):
            column = self._column(node.arg, source, scope)
            if node.nulltesttype == enums.NullTestType.IS_NULL:
                return column in columns
            return bool(source.keys) and column == _PUBLIC_COLUMN
        if isinstance(node, _Equation):
            return self._equates(node.left, node.right, source, columns, scope)
        if _is_equation(node):
            return self._equates(node.lexpr, node.rexpr, source, columns, scope)
        if isinstance(node, ast.SubLink):
            return self._sublink_fixes(node, source, columns, scope)
        return False

    def _equates(
        self, left: Any, right: Any, source: Source, columns: frozenset[str], scope: Scope
    ) -> bool:
        if isinstance(left, ast.RowExpr) and isinstance(right, ast.RowExpr):
            pairs = zip(left.args, right.args, strict=True)
            return any(self._equates(*pair, source, columns, scope) for pair in pairs)
        for one, other in ((left, right), (right, left)):
            column = self._column(one, source, scope)
            if column in columns and self._is_known(other, scope):
                return True
            # The id of a site, or a constant, is that of no thing.
            if column in columns and not source.keys and _is_no_thing(other):
                return True
            if source.keys and column == _PUBLIC_COLUMN:
                return True
            if column and column == READERS.get(source.table) and self._is_viewer(other):
                return True
            link = _bare(one)
            if (
                isinstance(link, ast.SubLink)
                and self._is_known(other, scope)
                and self._inner_fixes(link, source, columns, scope, is_compared=True)
            ):
                return True
        return False

    def _sublink_fixes(
        self, link: Any, source: Source, columns: frozenset[str], scope: Scope
    ) -> bool:
        if link.subLinkType == enums.SubLinkType.ANY_SUBLINK:
            tests = (
                link.testexpr.args if isinstance(link.testexpr, ast.RowExpr) else [link.testexpr]
            )
            inner = self._probe(link.subselect, scope)[1]
            pairs = zip(tests, inner, strict=False)
            if any(known and self._column(t, source, scope) in columns for t, (_, known) in pairs):
                return True
        return self._inner_fixes(link, source, columns, scope)

    def _inner_fixes(
        self,
        link: Any,
        source: Source,
        columns: frozenset[str],
        scope: Scope,
        *,
        is_compared: bool = False,
    ) -> bool:
        """Return if a row that a subquery looks for is known without `source`, and equated with one of `columns`."""
        inner, _ = self._probe(link.subselect, scope, is_compared=is_compared)
        return inner is not None and any(
            only is None and self._fixes(condition, source, columns, inner)
            for condition, only in inner.conditions
        )

    def _find(self, node: Any, scope: Scope) -> tuple[Source | None, str]:
        """Find the alias and the column that an expression is."""
        node = _bare(node)
        if not isinstance(node, ast.ColumnRef) or not isinstance(node.fields[-1], ast.String):
            return None, ""
        *names, column = [part.sval for part in node.fields]
        level: Scope | None = scope
        while level is not None:
            for source in level.sources:
                if names == [source.name] or (not names and len(level.sources) == 1):
                    return source, column
            level = level.outer
        return None, column

    def _column(self, node: Any, source: Source, scope: Scope) -> str:
        found, column = self._find(node, scope)
        return column if found is source else ""

    def _is_viewer(self, node: Any) -> bool:
        node = _bare(node)
        return isinstance(node, ast.ParamRef) and self.parameters[node.number - 1] in _VIEWER

    def _is_known(self, node: Any, scope: Scope) -> bool:
        """Return if an expression is an id that may be read, or NULL."""
        node = _bare(node)
        if node is _KNOWN:
            return True
        if isinstance(node, ast.ParamRef):
            return self.parameters[node.number - 1] not in _SITES
        if isinstance(node, ast.A_Const):
            return bool(node.isnull)
        if isinstance(node, ast.SubLink):
            columns = self._probe(node.subselect, scope)[1]
            return bool(columns) and columns[0][1]
        if isinstance(node, ast.CoalesceExpr):
            return all(self._is_known(part, scope) for part in node.args)
        if isinstance(node, ast.CaseExpr):
            results = [when.result for when in node.args] + [node.defresult]
            return all(part is None or self._is_known(part, scope) for part in results)
        if isinstance(node, ast.FuncCall) and node.args:
            return all(self._is_known(part, scope) for part in node.args)
        source, column = self._find(node, scope)
        return source is not None and source.has(column)

    # ------------------------------------------------------------ expressions

    def _selects(self, node: Any, scope: Scope) -> Iterator[tuple[Any, bool]]:
        """Yield each SELECT right below an expression, and if its column is equated with ids that may be read."""
        if isinstance(node, ast.SubLink) and node.subLinkType == enums.SubLinkType.EXISTS_SUBLINK:
            return
        if _is_equation(node):
            for one, other in ((node.lexpr, node.rexpr), (node.rexpr, node.lexpr)):
                link = _bare(one)
                if isinstance(link, ast.SubLink) and link.testexpr is None:
                    yield link.subselect, self._is_known(other, scope)
                else:
                    yield from self._selects(one, scope)
        elif isinstance(node, ast.SelectStmt):
            yield node, False
        elif isinstance(node, list | tuple):
            for part in node:
                yield from self._selects(part, scope)
        elif isinstance(node, ast.Node):
            for name in node:
                yield from self._selects(getattr(node, name), scope)

    def _columns(self, targets: Iterable[Any], scope: Scope) -> Columns:
        columns: Columns = []
        for target in targets:
            value = target.val
            if isinstance(value, ast.ColumnRef) and isinstance(value.fields[-1], ast.A_Star):
                wanted = value.fields[0].sval if len(value.fields) > 1 else None
                for source in scope.sources:
                    if wanted in (None, source.name):
                        known = {_ALL} if source.is_known else source.known
                        columns += [(name, True) for name in sorted(known)]
                continue
            name = target.name or ""
            if not name and isinstance(value, ast.ColumnRef):
                name = value.fields[-1].sval
            columns.append((name, self._is_known(value, scope)))
        return columns


@dataclass
class _Equation:
    """Equation that holds without being written."""

    left: Any
    right: Any


def writes(text: str) -> bool:
    """Return if a statement is anything but a SELECT that changes no row."""
    parsed = parse_sql_json(text)
    kinds = {next(iter(one["stmt"])) for one in json.loads(parsed)["stmts"]}
    return kinds != {"SelectStmt"} or bool(re.search(r'"(?:Insert|Update|Delete)Stmt"', parsed))


def _is_equation(node: Any) -> bool:
    return isinstance(node, ast.A_Expr) and node.name[-1].sval == "=" and node.kind in _EQUAL


def _bare(node: Any) -> Any:
    while isinstance(node, ast.TypeCast):
        node = node.arg
    return node


def _is_no_thing(node: Any) -> bool:
    node = _bare(node)
    if isinstance(node, ast.ColumnRef):
        return getattr(node.fields[-1], "sval", "") == "site_id"
    return isinstance(node, ast.A_Const)


def _columns_of(node: Any, alias: str) -> set[str]:
    """Names of the columns of an alias that a condition speaks of."""
    if isinstance(node, ast.ColumnRef):
        names = [getattr(part, "sval", "") for part in node.fields]
        return {names[-1]} if names[:-1] in ([alias], []) else set()
    if isinstance(node, list | tuple):
        return set().union(*(_columns_of(part, alias) for part in node))
    if isinstance(node, ast.Node):
        return set().union(*(_columns_of(getattr(node, name), alias) for name in node))
    return set()


def _named(columns: Columns, names: Sequence[Any] | None) -> Columns:
    """Rename the first columns."""
    new = [name.sval for name in names or ()]
    return [
        (new[place] if place < len(new) else name, is_known)
        for place, (name, is_known) in enumerate(columns)
    ]
