"""Tests that whatever the models name to moderators and owners has words on the website."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import forumapi
from forumapi import itemtypes
from forumapi.models.journal import audit_page
from forumapi.models.notifications import webhook
from forumapi.models.sites import legal
from forumapi.models.trust import action_kinds
from forumapi.updates import mail_templates
from forumapi.webclient.handlers.sites.integrations import KINDS, TYPES
from forumapi.webclient.handlers.sites.own_legal_and_mail_texts import LEGAL_NAMES, MAIL_NAMES
from forumapi.webclient.template_environment import environment

# Types that no release makes things of.
RESERVED = itemtypes.IN_MICROCOSM.difference(itemtypes.MICROCOSM_CHILDREN)
VERB = re.compile(r'"?\bverb"?(?::| =) "([a-z ]+)"(?: if .* else "([a-z ]+)")?')


def verbs() -> Iterator[str]:
    """Return each verb that the audit may keep of an action: those of kinds, and those that stand in the code."""
    yield from audit_page.VERBS
    yield from action_kinds.KINDS
    for path in Path(forumapi.__file__).parent.rglob("*.py"):
        for found in VERB.finditer(path.read_text()):
            yield from filter(None, found.groups())


@pytest.fixture(scope="module")
def trust() -> Any:
    """Macros and words of the pages about moderation, in English."""
    return environment("en").get_template("_trust.html").module


def test_each_action_has_words(trust: Any) -> None:
    found = set(verbs())
    assert {"hide", "undo merge", "lift", "dismiss", "grant appeal", "refuse appeal"} <= found
    assert [one for one in sorted(found) if "<" in str(trust.deed(one))] == []


def test_each_type_has_a_word(trust: Any) -> None:
    named = {
        one.name
        for one in (*itemtypes.TYPES, *itemtypes.RECORDS.values())
        if one.id not in RESERVED
    }
    assert set(trust.types) == named


def test_each_change_has_a_word(trust: Any) -> None:
    assert set(audit_page.ACTIONS.values()) <= set(trust.changes)
    assert set(webhook.KINDS) == set(KINDS) == set(trust.kinds)
    types = {itemtypes.name_of(one) for one in webhook.ITEM_TYPES}
    assert types == set(TYPES) <= set(trust.types)


def test_each_text_of_a_site_has_a_title() -> None:
    assert set(MAIL_NAMES) == {kind.name for kind in mail_templates.KINDS.values()}
    assert set(LEGAL_NAMES) == {*legal.SITE_DOCUMENTS, *legal.ROOT_DOCUMENTS}
