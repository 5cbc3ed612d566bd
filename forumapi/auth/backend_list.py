"""List of all sign-in back ends: importing this module registers each under its name."""

from forumapi.auth.backends import Backend
from forumapi.auth.development import DevelopmentBackend
from forumapi.auth.email_assertion import AssertionBackend
from forumapi.auth.email_code import EmailCodeBackend
from forumapi.auth.openid import OpenidBackend
from forumapi.auth.passkey import PasskeyBackend
from forumapi.auth.provider_presets import (
    Auth0Backend,
    GithubBackend,
    GoogleBackend,
    MicrosoftBackend,
)
from forumapi.auth.second_factor import SecondFactorBackend

__all__ = [
    "LISTED",
    "AssertionBackend",
    "Auth0Backend",
    "DevelopmentBackend",
    "EmailCodeBackend",
    "GithubBackend",
    "GoogleBackend",
    "MicrosoftBackend",
    "OpenidBackend",
    "PasskeyBackend",
    "SecondFactorBackend",
]

LISTED = sorted(name for name, one in Backend.found.items() if one.is_listed)
