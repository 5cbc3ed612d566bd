"""What the process that holds the addresses leaves to others on its machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from forumapi.config import Config
from forumapi.server import listener_holder
from tests.fixtures import PROJECT
from tests.services import free_port


def test_what_one_that_was_killed_has_left_is_not_read_as_the_next_ones(tmp_path: Path) -> None:
    listener_holder.State(pid=1, web=1).write(tmp_path)
    (tmp_path / "hold.new").mkdir()  # what it would say of itself can't be written
    web = tmp_path / "web"
    web.write_text(f"#!/bin/sh\n[ -e {tmp_path}/hold.json ] && exit 4\nexit 3\n")
    web.chmod(0o700)
    environ = os.environ | {
        "FORUMAPI_ENVIRONMENT": "development",
        "FORUMAPI_DATA_DIR": str(tmp_path),
        "FORUMAPI_LISTEN": f"127.0.0.1:{free_port()}",
    }

    done = subprocess.run(
        [sys.executable, "-m", "forumapi", "hold", str(web)], cwd=PROJECT, env=environ
    )

    assert done.returncode == 3


def test_a_new_web_process_is_on_trial_for_half_a_minute() -> None:
    assert Config().release_trial_s == 30


def test_a_process_that_is_gone_is_not_asked_to_replace_anything(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    listener_holder.State(pid=gone.pid).write(tmp_path)
    holder = subprocess.Popen(
        ["flock", str(tmp_path / "hold.lock"), "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdin is not None and holder.stdout is not None
    holder.stdin.write(b"held\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == b"held\n"

    with pytest.raises(listener_holder.HoldError, match="No such process"):
        listener_holder.replace(tmp_path)

    holder.communicate()
