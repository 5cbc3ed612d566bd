"""Tests of the details of audit entries: the known keys alone, each of its type, and none that is empty."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forumapi.models.journal.audit_detail_encoding import encode


def test_empty_values_are_left_out_and_an_operator_is_named() -> None:
    detail = {"verb": "ban", "reason": "", "note": None, "case": 0, "automated": False}

    assert json.loads(encode(detail, "root") or "") == {"verb": "ban", "operator": "root"}
    assert json.loads(encode(detail) or "") == {"verb": "ban"}
    assert encode(None, "root") == '{"operator": "root"}'
    assert encode({"reason": ""}) is None
    assert encode(None) is None


@pytest.mark.parametrize("detail", [{"mood": "bad"}, {"verb": 1}, {"case": "1"}, {"action": True}])
def test_what_the_audit_does_not_keep_is_refused(detail: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(detail))):
        encode(detail)
