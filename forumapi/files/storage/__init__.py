"""Stores of files: a folder, or S3."""

from __future__ import annotations

import contextlib
import shutil
import time
from typing import TYPE_CHECKING, Final

from forumapi.files.storage.base import PIECE, MissingError, Served, Storage, StorageError
from forumapi.files.storage.local import LocalStorage

if TYPE_CHECKING:
    from forumapi.config import Config

__all__ = [
    "PIECE",
    "MissingError",
    "Served",
    "Storage",
    "StorageError",
    "clear_scratch",
    "open_storage",
]

# Age after which a file is a leftover of a process that ended: no upload takes so long.
_SCRATCH_S: Final = 3600


def open_storage(config: Config) -> Storage:
    """Return the store that the settings name: a bucket if `s3_bucket` is set, else a folder. Nothing is connected or
    written.
    """
    if not config.s3_bucket:
        return LocalStorage(config.files_folder, config.file_accel_prefix)
    # Imported only for S3: it takes half a second.
    from forumapi.files.storage.s3 import S3Storage

    return S3Storage(
        config.s3_bucket,
        scratch=config.data_path / "incoming",
        endpoint=config.s3_endpoint,
        region=config.s3_region,
        key_id=config.aws_access_key_id,
        secret=config.aws_secret_access_key,
        redirect_s=config.s3_redirect_s,
        timeout_s=config.s3_timeout_s,
    )


def clear_scratch(storage: Storage) -> None:
    """Remove folders in the store's scratch folder that were not changed for over an hour: processes that were killed
    have left them. A folder that can't be removed stays; without a scratch folder nothing happens.
    """
    limit = time.time() - _SCRATCH_S
    if not storage.scratch.is_dir():
        return
    for path in storage.scratch.iterdir():
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < limit:
                shutil.rmtree(path)
