"""Checker of statements: each table with a site is restricted to one, on PostgreSQL's own parse tree.

An alias of a table with a column `site_id` is *bound* when a condition that always holds equates this column with a
parameter that names a site, or with the `site_id` of an alias, subquery or outer row that is bound. Conditions below
OR, NOT and CASE bind nothing, but for `site_id IS NULL OR …`; those of an outer join bind its nullable side alone.
Of the aliases that nothing binds but that are equated with each other one is reported, the *driver*: so a statement
for all sites at once that loses a condition has a driver more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pglast import ast, enums, parse_sql

# Names of parameters that hold the id, or the ids, of sites.
PARAMETERS: Final = frozenset(("site_id", "site_ids", "site", "sites"))
COLUMN: Final = "site_id"


@dataclass
class Source:
    """One alias of a FROM list. `has_site`: it has a column `site_id`, `needs_site`: which must be bound."""

    name: str
    table: str
    needs_site: bool
    has_site: bool
    is_bound: bool = False
    # Equated with a driver: one row's site, though not a known one.
    is_tied: bool = False


@dataclass
class Scope:
    """The aliases that one query level sees, the levels around it, and the site's column of each CTE (None: none)."""

    outer: Scope | None
    ctes: dict[str, bool | None]
    sources: list[Source] = field(default_factory=list)
    equal: list[tuple[Any, Any, frozenset[int] | None]] = field(default_factory=list)
    # Subqueries of FROM, which may lean on aliases beside them (LATERAL), and expressions there.
    derived: list[tuple[Source, Any]] = field(default_factory=list)
    expressions: list[Any] = field(default_factory=list)


@dataclass
class Checker:
    """Checker of one statement. `tables`: those with a column `site_id`; `parameters`: its names, in their order."""

    tables: frozenset[str]
    parameters: Sequence[str]
    loose: list[str] = field(default_factory=list)

    def check(self, text: str) -> list[str]:
        """Return the drivers, each as `alias (table)`: empty when every alias is bound to one site."""
        for raw in parse_sql(text):
            self.query(raw.stmt, None, {})
        return self.loose

    # ------------------------------------------------------------ statements

    def query(
        self, node: Any, outer: Scope | None, ctes: Mapping[str, bool | None]
    ) -> list[tuple[str, bool]]:
        """Check one query level and those inside. Return its columns: (name, bound to a site)."""
        scope = Scope(outer, dict(ctes))
        if node.withClause is not None:
            for cte in node.withClause.ctes:
                # A recursive part finds its own name as what the first part of it binds, which is checked with it.
                if node.withClause.recursive:
                    scope.ctes[cte.ctename] = self._recursive(cte, scope)
                columns = self.query(cte.ctequery, outer, scope.ctes)
                names = [name.sval for name in cte.aliascolnames or ()]
                scope.ctes[cte.ctename] = _site_of(columns, names)
        if isinstance(node, ast.SelectStmt):
            return self._select(node, scope)
        if isinstance(node, ast.InsertStmt):
            return self._insert(node, scope)
        return self._change(node, scope)

    def _recursive(self, cte: Any, scope: Scope) -> bool | None:
        first = cte.ctequery
        while getattr(first, "larg", None) is not None:
            first = first.larg
        columns = self._probe(first, Scope(scope.outer, scope.ctes))
        return _site_of(columns, [name.sval for name in cte.aliascolnames or ()])

    def _select(self, node: Any, scope: Scope) -> list[tuple[str, bool]]:
        if node.larg is not None:
            left = self.query(node.larg, scope.outer, scope.ctes)
            right = self.query(node.rarg, scope.outer, scope.ctes)
            return [
                (name, is_bound and other)
                for (name, is_bound), (_, other) in zip(left, right, strict=True)
            ]
        if node.valuesLists:
            rows = node.valuesLists
            self._inside(rows, scope)
            return [
                (f"column{place + 1}", all(self._is_bound(row[place], scope) for row in rows))
                for place in range(len(rows[0]))
            ]
        for item in node.fromClause or ():
            self._source(item, scope)
        self._conjuncts(node.whereClause, scope, None)
        self._settle(scope)
        self._inside(
            [
                node.targetList,
                node.whereClause,
                node.sortClause,
                node.groupClause,
                node.havingClause,
            ],
            scope,
        )
        self._inside([node.limitCount, node.limitOffset, node.distinctClause], scope)
        return self._columns(node.targetList or (), scope)

    def _insert(self, node: Any, scope: Scope) -> list[tuple[str, bool]]:
        columns = self.query(node.selectStmt, scope.outer, scope.ctes) if node.selectStmt else []
        names = [target.name for target in node.cols or ()]
        is_bound = dict(zip(names, (bound for _, bound in columns), strict=False)).get(
            COLUMN, False
        )
        source = self._table(node.relation, scope)
        source.is_bound = is_bound
        self._settle(scope)
        self._inside([node.onConflictClause, _returned(node)], scope)
        return self._columns(_returned(node), scope)

    def _change(self, node: Any, scope: Scope) -> list[tuple[str, bool]]:
        """UPDATE and DELETE."""
        self._table(node.relation, scope)
        is_update = isinstance(node, ast.UpdateStmt)
        for item in (node.fromClause if is_update else node.usingClause) or ():
            self._source(item, scope)
        self._conjuncts(node.whereClause, scope, None)
        self._settle(scope)
        self._inside([node.whereClause, _returned(node)], scope)
        if is_update:
            self._inside([node.targetList], scope)
        return self._columns(_returned(node), scope)

    # ------------------------------------------------------------ FROM

    def _table(self, node: Any, scope: Scope) -> Source:
        name = node.alias.aliasname if node.alias else node.relname
        if node.relname in scope.ctes and node.schemaname is None:
            site = scope.ctes[node.relname]
            source = Source(name, node.relname, site is False, site is not None, bool(site))
        else:
            has_site = node.relname in self.tables
            source = Source(name, node.relname, has_site, has_site)
        scope.sources.append(source)
        return source

    def _source(self, node: Any, scope: Scope) -> frozenset[int]:
        """Add what a FROM item names; return the places of its aliases in the scope."""
        first = len(scope.sources)
        if isinstance(node, ast.RangeVar):
            self._table(node, scope)
        elif isinstance(node, ast.JoinExpr):
            left = self._source(node.larg, scope)
            right = self._source(node.rarg, scope)
            self._join(node, scope, left, right)
        elif isinstance(node, ast.RangeSubselect):
            has_site = self._derived(node, scope) is not None
            source = Source(node.alias.aliasname, "subquery", has_site, has_site)
            scope.sources.append(source)
            scope.derived.append((source, node))
        elif isinstance(node, ast.RangeFunction):
            scope.expressions.append(node.functions)
            self._function(node, scope)
        else:
            raise NotImplementedError(type(node).__name__)
        return frozenset(range(first, len(scope.sources)))

    def _derived(self, node: Any, scope: Scope) -> bool | None:
        """Return if the column `site_id` of a subquery in FROM is bound by what is known of its level so far."""
        columns = self._probe(node.subquery, scope)
        return _site_of(columns, [name.sval for name in node.alias.colnames or ()])

    def _probe(self, node: Any, scope: Scope) -> list[tuple[str, bool]]:
        """Return the columns of a subquery without noting its faults, which are found when it is checked."""
        return Checker(self.tables, self.parameters).query(node, scope, scope.ctes)

    def _function(self, node: Any, scope: Scope) -> None:
        """Add a function's alias: a column `site_id` of it is bound when its argument there, or all of them, is."""
        alias = node.alias
        name = alias.aliasname if alias else ""
        names = [column.sval for column in (alias.colnames if alias else None) or ()]
        is_bound = False
        if COLUMN in names:
            arguments = [
                argument
                for function in node.functions
                for argument in (
                    function[0].args or () if isinstance(function[0], ast.FuncCall) else ()
                )
            ]
            place = names.index(COLUMN)
            is_bound = place < len(arguments) and self._is_bound(arguments[place], scope)
        scope.sources.append(Source(name, name, False, COLUMN in names, is_bound))

    def _join(self, node: Any, scope: Scope, left: frozenset[int], right: frozenset[int]) -> None:
        kind = node.jointype
        only = {
            enums.JoinType.JOIN_INNER: None,
            enums.JoinType.JOIN_LEFT: right,
            enums.JoinType.JOIN_RIGHT: left,
        }.get(kind, frozenset())
        if node.usingClause and COLUMN in {name.sval for name in node.usingClause}:
            sites = [place for place in (*left, *right) if scope.sources[place].has_site]
            for one in sites:
                for other in sites:
                    scope.equal.append((scope.sources[one], scope.sources[other], only))
        self._conjuncts(node.quals, scope, only)
        scope.expressions.append(node.quals)

    # ------------------------------------------------------------ conditions

    def _conjuncts(self, node: Any, scope: Scope, only: frozenset[int] | None) -> None:
        """Note the equations that hold in every row that the condition lets through."""
        if node is None:
            return
        if isinstance(node, ast.BoolExpr) and node.boolop == enums.BoolExprType.AND_EXPR:
            for part in node.args:
                self._conjuncts(part, scope, only)
        elif isinstance(node, ast.A_Expr) and node.name[-1].sval == "=":
            if node.kind in (enums.A_Expr_Kind.AEXPR_OP, enums.A_Expr_Kind.AEXPR_OP_ANY):
                self._equal(node.lexpr, node.rexpr, scope, only)
        elif isinstance(node, ast.BoolExpr) and node.boolop == enums.BoolExprType.OR_EXPR:
            # `site_id IS NULL OR site_id = …`: a row of the whole platform, or one of the site.
            others = [part for part in node.args if not _is_null(part)]
            if len(others) == 1 and len(node.args) > 1:
                self._conjuncts(others[0], scope, only)
        elif isinstance(node, ast.SubLink) and node.subLinkType == enums.SubLinkType.ANY_SUBLINK:
            self._in(node, scope, only)

    def _equal(self, left: Any, right: Any, scope: Scope, only: frozenset[int] | None) -> None:
        if isinstance(left, ast.RowExpr) and isinstance(right, ast.RowExpr):
            for one, other in zip(left.args, right.args, strict=True):
                self._equal(one, other, scope, only)
        elif isinstance(left, ast.RowExpr) and isinstance(right, ast.SubLink):
            self._row_in(left.args, right, scope, only)
        else:
            scope.equal.append((left, right, only))

    def _in(self, node: Any, scope: Scope, only: frozenset[int] | None) -> None:
        test = node.testexpr
        self._row_in(test.args if isinstance(test, ast.RowExpr) else [test], node, scope, only)

    def _row_in(
        self, values: Sequence[Any], link: Any, scope: Scope, only: frozenset[int] | None
    ) -> None:
        for value, (_, is_bound) in zip(values, self._probe(link.subselect, scope), strict=False):
            if is_bound:
                scope.equal.append((value, True, only))

    def _settle(self, scope: Scope) -> None:
        """Spread what is bound over the equations; report one alias of each group that nothing binds."""
        self._spread(scope)
        for source in scope.sources:
            if source.needs_site and not source.is_bound:
                self.loose.append(f"{source.name} ({source.table})")
                source.is_bound = source.is_tied = True
                self._spread(scope)
        for _, node in scope.derived:
            self.query(node.subquery, scope, scope.ctes)
        self._inside(scope.expressions, scope)

    def _spread(self, scope: Scope) -> None:
        places = {id(source): place for place, source in enumerate(scope.sources)}
        moved = True
        while moved:
            moved = False
            for one, other, only in scope.equal:
                for side, against in ((one, other), (other, one)):
                    source = self._site_source(side, scope)
                    if source is None or source.is_bound or id(source) not in places:
                        continue
                    if only is not None and places[id(source)] not in only:
                        continue
                    if self._is_bound(against, scope):
                        source.is_bound = moved = True
                        source.is_tied = not self._is_bound(against, scope, is_known=True)
            for source, node in scope.derived:
                if not source.is_bound and self._derived(node, scope):
                    source.is_bound = moved = True

    def _site_source(self, node: Any, scope: Scope) -> Source | None:
        """Find the alias whose `site_id` an expression is."""
        if isinstance(node, Source):
            return node
        while isinstance(node, ast.TypeCast):
            node = node.arg
        if not isinstance(node, ast.ColumnRef) or not isinstance(node.fields[-1], ast.String):
            return None
        names = [part.sval for part in node.fields]
        if names[-1] != COLUMN:
            return None
        level: Scope | None = scope
        while level is not None:
            for source in level.sources:
                if source.has_site and (len(names) == 1 or names[0] == source.name):
                    return source
            level = level.outer
        return None

    def _is_bound(self, node: Any, scope: Scope, *, is_known: bool = False) -> bool:
        """Return if an expression is the id of one site. `is_known`: of the one that a parameter names."""
        if node is True:
            return True
        if isinstance(node, Source):
            return node.is_bound and not (is_known and node.is_tied)
        while isinstance(node, ast.TypeCast):
            node = node.arg
        if isinstance(node, ast.ParamRef):
            return self.parameters[node.number - 1] in PARAMETERS
        if isinstance(node, ast.SubLink) and node.subLinkType == enums.SubLinkType.EXPR_SUBLINK:
            return self._probe(node.subselect, scope)[0][1]
        source = self._site_source(node, scope)
        return source is not None and self._is_bound(source, scope, is_known=is_known)

    # ------------------------------------------------------------ expressions

    def _inside(self, nodes: Iterable[Any], scope: Scope) -> None:
        """Check the subqueries of expressions, once it is known which aliases of their level are bound."""
        for node in nodes:
            for link in _sublinks(node):
                self.query(link, scope, scope.ctes)

    def _columns(self, targets: Iterable[Any], scope: Scope) -> list[tuple[str, bool]]:
        columns = []
        for target in targets:
            value = target.val
            name = target.name or ""
            if isinstance(value, ast.ColumnRef) and isinstance(value.fields[-1], ast.A_Star):
                wanted = value.fields[0].sval if len(value.fields) > 1 else None
                sites = [
                    source
                    for source in scope.sources
                    if source.has_site and wanted in (None, source.name)
                ]
                if sites:
                    bound = [source.is_bound and not source.is_tied for source in sites]
                    columns.append((COLUMN, any(bound)))
                continue
            if not name and isinstance(value, ast.ColumnRef):
                name = value.fields[-1].sval
            columns.append((name, self._is_bound(value, scope, is_known=True)))
        return columns


def _is_null(node: Any) -> bool:
    """Return if a condition demands that something is NULL, perhaps among other demands."""
    if isinstance(node, ast.BoolExpr) and node.boolop == enums.BoolExprType.AND_EXPR:
        return any(_is_null(part) for part in node.args)
    return isinstance(node, ast.NullTest) and node.nulltesttype == enums.NullTestType.IS_NULL


def _returned(node: Any) -> Sequence[Any]:
    clause = node.returningClause
    return clause.exprs or () if clause is not None else ()


def _site_of(columns: Sequence[tuple[str, bool]], names: Sequence[str]) -> bool | None:
    """Return if the column `site_id` is bound, None where there is none. `names` rename the first columns."""
    for place, (name, is_bound) in enumerate(columns):
        if (names[place] if place < len(names) else name) == COLUMN:
            return is_bound
    return None


def _sublinks(node: Any) -> Iterator[Any]:
    """Yield each SELECT right below an expression, none inside of these."""
    if isinstance(node, ast.SelectStmt):
        yield node
    elif isinstance(node, list | tuple):
        for part in node:
            yield from _sublinks(part)
    elif isinstance(node, ast.Node):
        for name in node:
            yield from _sublinks(getattr(node, name))
