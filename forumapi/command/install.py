"""Command `install`: copies release, settings and service files to the places that docs/operations.md names."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from forumapi import build, config

SETTINGS: Final = "etc/forumapi/forumapi.toml"


class InstallError(Exception):
    """Failure of an installation; the message is for the operator."""


class _File(NamedTuple):
    source: str
    target: str
    mode: int = 0o644
    is_yours: bool = False  # never replaced: it holds the machine's settings


_FILES: Final = (
    _File("etc/command", "opt/forumapi/forumapi", 0o755),
    _File("etc/forumapi.toml", SETTINGS, 0o640, is_yours=True),
    _File("etc/systemd/forumapi.service", "usr/lib/systemd/system/forumapi.service"),
    _File("etc/systemd/forumapi.socket", "usr/lib/systemd/system/forumapi.socket"),
    _File("etc/systemd/forumapi-cron.service", "usr/lib/systemd/system/forumapi-cron.service"),
    _File(
        "etc/systemd/forumapi-webclient.service",
        "usr/lib/systemd/system/forumapi-webclient.service",
    ),
    _File(
        "etc/systemd/forumapi-webclient.socket", "usr/lib/systemd/system/forumapi-webclient.socket"
    ),
    _File("etc/sysusers.d/forumapi.conf", "usr/lib/sysusers.d/forumapi.conf"),
    _File("etc/tmpfiles.d/forumapi.conf", "usr/lib/tmpfiles.d/forumapi.conf"),
    _File("etc/logrotate.d/forumapi", "etc/logrotate.d/forumapi"),
    _File("etc/nginx/forumapi-site.conf", "etc/nginx/forumapi-site.conf"),
    _File("etc/nginx/forumapi.conf", "etc/nginx/forumapi.conf", is_yours=True),
    _File("etc/prometheus/alerts.yml", "usr/share/forumapi/prometheus/alerts.yml"),
    _File("etc/grafana/forumapi.json", "usr/share/forumapi/grafana/forumapi.json"),
)
_UPSTART: Final = (
    _File("upstart/forumapi.conf", "etc/init/forumapi.conf"),
    _File("upstart/forumapi-cron.conf", "etc/init/forumapi-cron.conf"),
    _File("upstart/forumapi-webclient.conf", "etc/init/forumapi-webclient.conf"),
)
# Beginning of a machine's settings file.
_BEGIN: Final = {
    "environment": "prod",
    "data_dir": "/var/lib/forumapi",
    "trusted_proxies": "127.0.0.1",
}


def install(
    root: Path, *, upstart: bool = False, progress: Callable[[str], None] = lambda text: None
) -> None:
    """Install release, settings, service files and command below the folder `root`; for / also create the system user.
    Existing settings stay. `upstart`: Upstart's jobs as well; `progress` is called with a line for each file. Raises
    InstallError if a file can't be written or the program does not run from the one file that `make dist` makes.
    """
    try:
        for one in (*_FILES, *(_UPSTART if upstart else ())):
            _put(one, root, progress)
        _put_release(root, progress)
        command = root / "usr/bin/forumapi"
        if not command.is_symlink():
            command.parent.mkdir(parents=True, exist_ok=True)
            command.symlink_to("/opt/forumapi/forumapi")
        if root == Path("/"):
            _own(progress)
    except OSError as error:
        raise InstallError(str(error)) from None


def _put(one: _File, root: Path, progress: Callable[[str], None]) -> None:
    target = root / one.target
    if one.is_yours and target.exists():
        progress(f"kept      {target}")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(config.resource(one.source), target)
    target.chmod(one.mode)
    if one.target == SETTINGS:
        for name, value in _BEGIN.items():
            config.set_value(target, name, value)
    progress(f"installed {target}")


def _put_release(root: Path, progress: Callable[[str], None]) -> None:
    """Copy the executable file that this program runs from (`dist/forumapi`, made by `make dist`) into the folder of
    releases below `root`; make it the current release if there is none. `progress` is called with a line on what was
    installed. Raises InstallError if the program runs from a checkout or package instead.
    """
    file = os.environ.get("PEX", "")
    if not file:
        raise InstallError(
            "only the one file can install itself: make dist, then dist/forumapi install"
        )
    home = root / "opt/forumapi"
    target = home / "releases" / build() / "forumapi"
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(".forumapi.new")
    shutil.copyfile(file, fresh)
    fresh.chmod(0o755)
    fresh.replace(target)
    progress(f"installed {target}")
    if not (home / "current").is_symlink():
        (home / "current").symlink_to(f"releases/{build()}")


def _own(progress: Callable[[str], None]) -> None:
    """Create the system user `forumapi`, make it the owner of its folders, and let systemd read the service files
    again; a command that is missing or fails is told to `progress`.
    """
    for command in (
        ["systemd-sysusers", "/usr/lib/sysusers.d/forumapi.conf"],
        ["systemd-tmpfiles", "--create", "/usr/lib/tmpfiles.d/forumapi.conf"],
        ["systemctl", "daemon-reload"],
    ):
        if shutil.which(command[0]) is None:
            progress(f"not there: {' '.join(command)}")
        elif subprocess.run(command, check=False).returncode:
            progress(f"failed:    {' '.join(command)}")
