"""The S3 server of these tests."""

from tests.files.s3 import gate, store

__all__ = ["gate", "store"]
