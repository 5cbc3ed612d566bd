"""The dashboard and the alert rules in etc/ name figures that there are, and docs/operations.md explains them all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from forumapi.config import resource
from forumapi.observability import metrics
from tests.fixtures import PROJECT

RULES = yaml.safe_load(resource("etc/prometheus/alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD: dict[str, Any] = json.loads(resource("etc/grafana/forumapi.json").read_text())
OPERATIONS = (PROJECT / "docs" / "operations.md").read_text()

# What Prometheus adds to every series, or to a histogram's.
THEIRS = {"instance", "le"}


def expressions() -> Iterator[tuple[str, str]]:
    """Return where an expression stands, and what it is."""
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def figure(name: str) -> metrics.Metric | None:
    """The figure that a series belongs to."""
    whole = metrics.Metric.all.get(name)
    base = metrics.Metric.all.get(re.sub(r"_(bucket|sum|count)$", "", name))
    return whole or (base if isinstance(base, metrics.Timing) else None)


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_each_expression_names_figures_and_labels_that_there_are(where, expression):
    names = set(re.findall(r"forumapi_\w+", expression))
    found = {name: figure(name) for name in names}

    assert all(found.values()), found
    assert names or expression.startswith("up{")
    labels = {label for one in found.values() if one is not None for label in one.labels}
    grouped = re.findall(r"by \(([^)]*)\)", expression)
    used = {label.strip() for group in grouped for label in group.split(",")}
    used |= set(re.findall(r"[{,](\w+)(?:=~|!=|=)\"", expression)) - {"job"}
    assert used <= labels | THEIRS, expression
    for name in names:
        metric = found[name]
        if isinstance(metric, metrics.Timing):
            assert name != metric.name, "a histogram has no series of its own name"


def test_every_panel_has_a_place_of_its_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_every_alert_says_how_bad_it_is_and_the_operators_book_what_to_do() -> None:
    explained = re.findall(r"^\| (Forumapi\w+) \| (page)? ?\|", OPERATIONS, re.MULTILINE)

    assert {name: mark or "ticket" for name, mark in explained} == {
        rule["alert"]: rule["labels"]["severity"] for rule in RULES
    }
    assert all(rule["annotations"]["summary"] for rule in RULES)


def test_every_figure_is_explained_and_none_that_there_is_not() -> None:
    table = OPERATIONS[OPERATIONS.index("## Metrics") : OPERATIONS.index("## Alerts")]

    assert set(re.findall(r"`(forumapi_\w+)`", table)) == set(metrics.Metric.all)


def test_labels_are_none_that_prometheus_takes_for_itself() -> None:
    for metric in metrics.Metric.all.values():
        assert not {"job", "instance", "le"} & set(metric.labels), metric.name
