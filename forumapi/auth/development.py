"""Signing in by naming an e-mail address, without proof: for one's own machine only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forumapi.auth.backends import Attempt, Backend, Verified
from forumapi.models.people import user

if TYPE_CHECKING:
    from forumapi.config import Config


class DevelopmentBackend(Backend):
    """Sign-in by `{"method": "development", "email": ...}`, in the embedded mode only."""

    name = "development"
    title = "Development"
    kind = "development"

    @classmethod
    def exists(cls, config: Config) -> bool:
        """Return True in the embedded mode (`forumapi run`) alone."""
        return config.is_embedded

    def verify(self, attempt: Attempt) -> Verified:
        """Return the address that was sent, unproven. Raises Invalid if it is not an e-mail address."""
        given = attempt.sign_in.email
        return Verified(user.checked_email(given if isinstance(given, str) else ""))
