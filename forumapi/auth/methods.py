"""The back ends there are: importing this module makes them known by name."""

from forumapi.auth.assertion import AssertionBackend
from forumapi.auth.development import DevelopmentBackend
from forumapi.auth.email_code import EmailCodeBackend

__all__ = ["AssertionBackend", "DevelopmentBackend", "EmailCodeBackend"]
