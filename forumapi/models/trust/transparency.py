"""Transparency report of a period (DSA, Articles 15 and 24): counts of notices, decisions and appeals of a site.

It names no person and no thing. A notice counts in the period in which it was sent, a decision in the one in which its
statement was made, an appeal in the one in which it was made; outcomes are those known now.
"""

from __future__ import annotations

import csv
import datetime
import io
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.models.trust.action_kinds import KINDS
from forumapi.models.trust.dsa_terms import GROUNDS
from forumapi.wire.json_fragments import format_time

NOTICE: Final = "notice"
DECISION: Final = "decision"
APPEAL: Final = "appeal"

FROM_NOTICE: Final = "SOURCE_ARTICLE_16"
FROM_ITSELF: Final = "SOURCE_VOLUNTARY"
IN_FORCE: Final = "inForce"
REVOKED: Final = "revoked"
CORRECTED: Final = "corrected"
_MEDIAN: Final = "percentile_cont(0.5) WITHIN GROUP (ORDER BY {seconds})"

NOTICES: Final = Query(
    "transparency.notices",
    f"""
    WITH sent AS (
        SELECT r.kind, r.category, CASE WHEN k.state = 'open' THEN 'open' ELSE k.outcome END AS outcome,
               floor(extract(epoch FROM k.decided - r.created))::bigint AS seconds
          FROM reports r
          JOIN cases k ON k.site_id = r.site_id AND k.case_id = r.case_id
         WHERE r.site_id = %(site_id)s AND r.created >= %(since)s AND r.created < %(until)s)
    SELECT grouping(s.kind) = 1, coalesce(s.kind, ''), coalesce(s.category, ''), coalesce(s.outcome, ''), count(*),
           {_MEDIAN.format(seconds="s.seconds")}
      FROM sent s
     GROUP BY GROUPING SETS ((s.kind, s.category, s.outcome), ())
     ORDER BY 2, 3, 4""",
)

DECISIONS: Final = Query(
    "transparency.decisions",
    f"""
    WITH stated AS (
        SELECT s.statement_id, s.action_id, s.created,
               CASE WHEN s.revoked IS NOT NULL THEN '{REVOKED}'
                    WHEN EXISTS (SELECT FROM appeals p
                                  WHERE p.site_id = s.site_id AND p.statement_id = s.statement_id
                                    AND p.state = 'granted') THEN '{CORRECTED}'
                    ELSE '{IN_FORCE}' END AS outcome
          FROM statements s
         WHERE s.site_id = %(site_id)s AND s.created >= %(since)s AND s.created < %(until)s),
    things AS (
        SELECT x.statement_id, count(*) AS things, bool_and(x.item_type_id = {itemtypes.PROFILE}) AS is_people
          FROM action_changes x
         WHERE x.site_id = %(site_id)s AND x.action_id IN (SELECT t.action_id FROM stated t)
         GROUP BY x.statement_id),
    told AS (
        SELECT a.kind, a.ground, a.category, a.is_automated, a.place_id = 0 AS is_site_wide,
               a.ends IS NULL AS is_for_good, coalesce(n.is_people, false) AS is_people, t.outcome,
               coalesce(n.things, 0) AS things, r.first IS NOT NULL AS is_noticed,
               floor(extract(epoch FROM t.created - r.first))::bigint AS seconds
          FROM stated t
          JOIN actions a ON a.site_id = %(site_id)s AND a.action_id = t.action_id
          LEFT JOIN things n ON n.statement_id = t.statement_id
          LEFT JOIN LATERAL (SELECT min(r.created) AS first FROM reports r
                              WHERE r.site_id = a.site_id AND r.case_id = a.case_id) r ON true)
    SELECT grouping(d.kind) = 1, coalesce(d.is_noticed, false), coalesce(d.kind, ''), coalesce(d.ground, ''),
           coalesce(d.category, ''), coalesce(d.is_people, false), coalesce(d.outcome, ''),
           coalesce(d.is_automated, false), coalesce(d.is_site_wide, false), coalesce(d.is_for_good, false), count(*),
           coalesce(sum(d.things), 0)::bigint, {_MEDIAN.format(seconds="d.seconds")}
      FROM told d
     GROUP BY GROUPING SETS ((d.is_noticed, d.kind, d.ground, d.category, d.is_people, d.outcome, d.is_automated,
                               d.is_site_wide, d.is_for_good), ())
     ORDER BY 2, 3, 4, 5, 6, 7, 8, 9, 10""",
)

APPEALS: Final = Query(
    "transparency.appeals",
    f"""
    WITH made AS (
        SELECT a.kind, p.state, floor(extract(epoch FROM p.decided - p.created))::bigint AS seconds
          FROM appeals p
          JOIN actions a ON a.site_id = p.site_id AND a.action_id = p.action_id
         WHERE p.site_id = %(site_id)s AND p.created >= %(since)s AND p.created < %(until)s)
    SELECT grouping(m.kind) = 1, coalesce(m.kind, ''), coalesce(m.state, ''), count(*),
           {_MEDIAN.format(seconds="m.seconds")}
      FROM made m
     GROUP BY GROUPING SETS ((m.kind, m.state), ())
     ORDER BY 2, 3""",
)


class ReportRow(NamedTuple):
    """Row of the transparency report, in its `part` on notices, decisions or appeals: the `number` of those with the
    same values. "" and None: the column does not apply to this part. `kind`: of the report, or of the action that was
    decided or appealed against; `source`, `category`, `ground`, `decision`, `content_type`: terms of the DSA's
    database; `outcome`: what became of them, as known now.

    `is_automated`: a rule made the decisions, False in other parts; `things`: number of things that the decisions
    concern; `median_s`: median of the seconds from the notice or appeal to its decision.
    """

    part: str
    source: str = ""
    kind: str = ""
    category: str = ""
    ground: str = ""
    decision: str = ""
    content_type: str = ""
    outcome: str = ""
    number: int = 0
    things: int | None = None
    median_s: float | None = None
    is_automated: bool = False

    def values(self) -> dict[str, Any]:
        """Return the row's values by their names on the wire, in order; a decision is automated if a rule made it, and
        then a rule has found the thing too.
        """
        decides = self.part == DECISION
        return {
            "part": self.part,
            "source": self.source or None,
            "kind": self.kind,
            "category": self.category or None,
            "ground": self.ground or None,
            "decision": self.decision or None,
            "contentType": self.content_type or None,
            "automatedDetection": self.is_automated if decides else None,
            "automatedDecision": self.is_automated if decides else None,
            "outcome": self.outcome,
            "count": self.number,
            "things": self.things,
            "medianSeconds": self.median_s,
        }


class TransparencyReport(NamedTuple):
    """Transparency report of the period from `since`, inclusive, to `until`, exclusive. `totals`: by part, the row of
    all its notices, decisions or appeals; `rows`: all other rows.
    """

    since: datetime.datetime
    until: datetime.datetime
    totals: dict[str, ReportRow]
    rows: list[ReportRow]

    @classmethod
    def find(
        cls, tx: Reader, site_id: int, since: datetime.datetime, until: datetime.datetime
    ) -> TransparencyReport:
        """Return the report of a site from `since`, inclusive, to `until`, exclusive, counted now."""
        within = {"site_id": site_id, "since": since, "until": until}
        totals: dict[str, ReportRow] = {}
        rows: list[ReportRow] = []
        found = (
            *((row[0], _notice(*row[1:])) for row in tx.rows(NOTICES, **within)),
            *((row[0], _decision(*row[1:])) for row in tx.rows(DECISIONS, **within)),
            *((row[0], _appeal(*row[1:])) for row in tx.rows(APPEALS, **within)),
        )
        for is_total, row in found:
            if is_total:
                totals[row.part] = row
            else:
                rows.append(row)
        return cls(since, until, totals, rows)

    def document(self) -> dict[str, Any]:
        """Return the report as a dict for JSON."""
        notices, decisions, appeals = (self.totals[part] for part in (NOTICE, DECISION, APPEAL))
        return {
            "since": format_time(self.since),
            "until": format_time(self.until),
            "totals": {
                "notices": notices.number,
                "noticeMedianSeconds": notices.median_s,
                "decisions": decisions.number,
                "things": decisions.things,
                "decisionMedianSeconds": decisions.median_s,
                "appeals": appeals.number,
                "appealMedianSeconds": appeals.median_s,
            },
            "rows": [row.values() for row in self.rows],
        }

    def csv(self) -> str:
        """Return the report as CSV: a line of column names, then a line for each row but the totals, with the period in
        each.
        """
        out = io.StringIO()
        names = list(ReportRow(NOTICE).values())
        writer = csv.writer(out)
        writer.writerow(["since", "until", *names])
        period = [format_time(self.since), format_time(self.until)]
        for row in self.rows:
            writer.writerow([*period, *(_cell(value) for value in row.values().values())])
        return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return "" if value is None else value


def _notice(kind: str, category: str, outcome: str, count: int, median: float | None) -> ReportRow:
    return ReportRow(
        NOTICE, FROM_NOTICE, kind, category, outcome=outcome, number=count, median_s=median
    )


def _decision(
    is_noticed: bool,
    kind: str,
    ground: str,
    category: str,
    is_people: bool,
    outcome: str,
    is_automated: bool,
    is_site_wide: bool,
    is_for_good: bool,
    count: int,
    things: int,
    median: float | None,
) -> ReportRow:
    does = KINDS.get(kind)
    return ReportRow(
        DECISION,
        FROM_NOTICE if is_noticed else FROM_ITSELF,
        kind,
        category,
        GROUNDS.get(ground, ""),
        does.decided(is_site_wide=is_site_wide, is_for_good=is_for_good) if does else "",
        "CONTENT_TYPE_OTHER" if is_people else "CONTENT_TYPE_TEXT",
        outcome,
        count,
        things,
        median,
        is_automated,
    )


def _appeal(kind: str, state: str, count: int, median: float | None) -> ReportRow:
    return ReportRow(APPEAL, kind=kind, outcome=state, number=count, median_s=median)
