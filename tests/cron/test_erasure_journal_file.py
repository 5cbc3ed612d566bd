"""Journal of erasures: lines that a crash has cut off."""

from __future__ import annotations

from pathlib import Path

import pytest

from forumapi.cron import erasure_journal_file, erasures


def test_a_line_cut_off_is_ended_and_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "erasures.jsonl"
    line = '{"site":0,"id":1,"created":"2026-12-01T00:00:00+00:00","words":"keep"}'
    erasure_journal_file.append(path, [line])
    for stump in (line[:30], line, '{"retention":"gone","site":1,"gone":[[4'):
        with path.open("a") as journal:
            journal.write(stump)
        assert len(list(erasure_journal_file.read_lines(path))) == 1
        erasure_journal_file.append(path, [line.replace('"id":1', '"id":2')])
        assert [entry.id for entry in erasures.read_journal([path])] == [1, 2]
        path.write_text(f"{line}\n")
    with path.open("a") as journal:
        journal.write(line[:30] + "\n")
    with pytest.raises(ValueError, match="line 2: no entry"):
        list(erasure_journal_file.read_lines(path))
