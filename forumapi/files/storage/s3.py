"""Store of files in a bucket of an S3-compatible service. Each process has one client of it, made on first use."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from forumapi.files.storage.base import PIECE, MissingError, Served, StorageError

# Size of a part; larger files are uploaded in parts, one after the other.
PART: Final = 8 * 1024 * 1024
ATTEMPTS: Final = 3

_MISSING: Final = frozenset(("404", "NoSuchKey", "NotFound"))
_FAILURES: Final = (ClientError, BotoCoreError, HTTPError, OSError)

# Advice for the operator, by the service's error code.
_ADVICE: Final = {
    "NoSuchBucket": "there is no bucket {bucket}: make it, or mend s3_bucket",
    "404": "there is no bucket {bucket}: make it, or mend s3_bucket",
    "403": "the key may not use bucket {bucket}: mend aws_access_key_id and aws_secret_access_key, or its policy",
    "AccessDenied": "the key may not use bucket {bucket}: mend its policy",
    "InvalidAccessKeyId": "the service does not know the key: mend aws_access_key_id",
    "SignatureDoesNotMatch": "the secret is wrong: mend aws_secret_access_key",
    "PermanentRedirect": "bucket {bucket} is in another region: mend s3_region",
    "301": "bucket {bucket} is in another region: mend s3_region",
}


class S3Storage:
    """Store of objects in a private bucket, each under its bare name (content 10.3). A call of the service that fails
    in a way that may pass is made ATTEMPTS (3) times before the method raises StorageError.

    `endpoint`, `region`, `key_id`, `secret`: "" for the SDK's own defaults; `redirect_s`: seconds for which a URL of
    `redirect` is valid, 0: clients are never redirected; `timeout_s`: longest wait for the service in one try.
    """

    def __init__(
        self,
        bucket: str,
        *,
        scratch: Path,
        endpoint: str = "",
        region: str = "",
        key_id: str = "",
        secret: str = "",
        redirect_s: int = 0,
        timeout_s: int = 10,
    ) -> None:
        self.bucket = bucket
        self.scratch = scratch
        self._redirect_s = redirect_s
        self._options: dict[str, Any] = {
            "endpoint_url": endpoint or None,
            "region_name": region or None,
            "aws_access_key_id": key_id or None,
            "aws_secret_access_key": secret or None,
            "config": ClientConfig(
                connect_timeout=min(timeout_s, 3),
                read_timeout=timeout_s,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                # Not all compatible services support the newer checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                # Host names of buckets do not work with IP addresses and local names.
                s3={"addressing_style": "path" if endpoint else "auto"},
                signature_version="s3v4",
            ),
        }
        # Its threads would be greenlets here, and one file at a time is enough.
        self._transfer = TransferConfig(
            multipart_threshold=PART, multipart_chunksize=PART, use_threads=False
        )
        self._lock = threading.Lock()
        self._made: Any = None

    @property
    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = boto3.session.Session().client("s3", **self._options)
            return self._made

    def put(self, name: str, path: Path, media_type: str) -> None:
        """Upload the file at `path`, with its `media_type`, as the object `name`; if the object exists already, it
        stays. S3 shows the object only once it is whole. Raises StorageError.
        """
        if self.size(name):
            return
        try:
            self._client.upload_file(
                str(path),
                self.bucket,
                name,
                ExtraArgs={"ContentType": media_type},
                Config=self._transfer,
            )
        except (*_FAILURES, boto3.exceptions.Boto3Error) as error:
            raise self._failed(error) from error

    def size(self, name: str) -> int | None:
        """Return the size of an object in bytes; None if it does not exist. Raises StorageError."""
        try:
            return int(self._client.head_object(Bucket=self.bucket, Key=name)["ContentLength"])
        except _FAILURES as error:
            if _code(error) in _MISSING:
                return None
            raise self._failed(error) from error

    def read(self, name: str, start: int, length: int) -> Iterator[bytes]:
        """Yield `length` bytes, 1 or more, of the object `name` from the position `start` within it (0: its first byte)
        on, fewer if it ends before, in chunks of any size. Raises MissingError before the first chunk, StorageError.
        """
        try:
            body = self._client.get_object(
                Bucket=self.bucket, Key=name, Range=f"bytes={start}-{start + length - 1}"
            )["Body"]
        except _FAILURES as error:
            raise self._failed(error, name) from error
        return self._pieces(body)

    def _pieces(self, body: Any) -> Iterator[bytes]:
        try:
            yield from body.iter_chunks(PIECE)
        except _FAILURES as error:
            raise self._failed(error) from error
        finally:
            body.close()

    def fetch(self, name: str, target: Path) -> None:
        """Download an object into the file `target`, which is overwritten. Raises MissingError if it does not exist,
        StorageError if the store fails.
        """
        try:
            self._client.download_file(self.bucket, name, str(target), Config=self._transfer)
        except (*_FAILURES, boto3.exceptions.Boto3Error) as error:
            raise self._failed(error, name) from error

    def delete(self, name: str) -> None:
        """Remove an object; one that does not exist is no error. Raises StorageError."""
        try:
            self._client.delete_object(Bucket=self.bucket, Key=name)
        except _FAILURES as error:
            raise self._failed(error) from error

    def internal(self, name: str) -> str:
        """Return "", since nginx can't read the bucket, having no credentials."""
        return ""

    def redirect(self, name: str, served: Served) -> str:
        """Return a signed URL by which the bucket itself sends the object with the headers `served`, valid for
        `redirect_s` seconds; "" if that is 0.
        """
        if not self._redirect_s:
            return ""
        params = {"Bucket": self.bucket, "Key": name, "ResponseContentType": served.media_type}
        if served.disposition:
            params["ResponseContentDisposition"] = served.disposition
        # Signing needs no network.
        signed: str = self._client.generate_presigned_url(
            "get_object", Params=params, ExpiresIn=self._redirect_s
        )
        return signed

    def check(self) -> str:
        """Check access to the bucket; return a description of the store for the log. Raises StorageError, with advice,
        if access fails.
        """
        try:
            self._client.head_bucket(Bucket=self.bucket)
        except _FAILURES as error:
            raise self._failed(error) from error
        return f"in bucket {self.bucket}"

    def _failed(self, error: Exception, name: str = "") -> Exception:
        """Return the exception to raise for an error of the S3 client: MissingError if the service says that the object
        `name` does not exist, else StorageError with advice for the operator. `name` "": never MissingError.
        """
        code = _code(error)
        if name and code in _MISSING:
            return MissingError(name)
        advice = _ADVICE.get(code, str(error)).format(bucket=self.bucket)
        return StorageError(f"S3: {advice}")


def _code(error: Exception) -> str:
    """Return the error code that the service sent; "" for a failure without one, such as of the network."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""
