"""Tests of what a backup leaves for those who look whether there is one."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path

import pytest

from forumapi.command import doctor
from forumapi.command.doctor import Finding
from forumapi.config import Config
from forumapi.models.usage import platform_health

NOW = datetime.datetime(2026, 11, 28, 12, 0, tzinfo=datetime.UTC)


def examined(folder: Path, text: str | None, **changes: str | int) -> Finding:
    """Return what doctor says of such a file."""
    config = dataclasses.replace(Config(), data_dir=str(folder), **changes)  # type: ignore[arg-type]
    path = config.backup_status_path
    if path is not None and text is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return doctor.backup(config, NOW)


def test_a_fresh_backup_is_well(tmp_path: Path) -> None:
    found = examined(
        tmp_path, '{"finished": "2026-11-28T03:00:00Z", "kind": "base", "bytes": 1234567}'
    )

    assert found == ("backup", "base, 1,234,567 bytes, 9.0 hours ago", "", False)


@pytest.mark.parametrize(
    "text",
    [
        '{"finished": "2026-11-27T09:00:00Z", "kind": "base", "bytes": 1}',
        '{"finished": "2026-11-27T09:00:00", "kind": "base", "bytes": 1}',
        '{"kind": "base"}',
        '{"finished": "yesterday"}',
        "",
        "\x00",
    ],
)
def test_an_old_one_and_what_can_not_be_read_fail(tmp_path: Path, text: str) -> None:
    found = examined(tmp_path, text)

    assert found.mend
    assert not found.is_warning


def test_the_limit_is_a_setting(tmp_path: Path) -> None:
    text = '{"finished": "2026-11-27T09:00:00Z"}'

    assert not examined(tmp_path, text, backup_max_age_hours=30).mend


def test_none_at_all_fails_in_prod_and_is_a_warning_elsewhere(tmp_path: Path) -> None:
    assert examined(tmp_path, None, environment="embedded").is_warning
    assert not examined(tmp_path, None, environment="prod").is_warning
    assert examined(tmp_path, None, environment="prod").mend
    assert not examined(tmp_path, None, backup_status_file="").mend


def test_its_time_is_a_figure(tmp_path: Path) -> None:
    path = tmp_path / "last.json"
    assert platform_health.of_backup(path) == ()
    path.write_text('{"finished": "2026-11-28T12:00:00Z"}')

    (point,) = platform_health.of_backup(path)
    assert point.value == NOW.timestamp()
