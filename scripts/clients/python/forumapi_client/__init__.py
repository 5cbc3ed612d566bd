"""Client of a forumapi site: typed, synchronous, over httpx.

site = Client("https://bikes.forum.example", token)
conversation = site.conversations.get(1)
for comment in conversation.comments():
    print(comment.markdown)
"""

from .connection import EtagMemory, Settings
from .documents_base import Document, Page
from .errors import *  # noqa: F403
from .errors import __all__ as _errors
from .live import LiveEnded, LiveFrame, LiveStream
from .operations import Client
from .sign_in import (
    DeviceSignIn,
    EmailSignIn,
    OAuthToken,
    PkceSignIn,
    SecondFactorNeeded,
    TokenSource,
)
from .upload import Upload
from .version import VERSION

__all__ = [  # noqa: PLE0604
    "VERSION",
    "Client",
    "DeviceSignIn",
    "Document",
    "EmailSignIn",
    "EtagMemory",
    "LiveEnded",
    "LiveFrame",
    "LiveStream",
    "OAuthToken",
    "Page",
    "PkceSignIn",
    "SecondFactorNeeded",
    "Settings",
    "TokenSource",
    "Upload",
    *_errors,
]
