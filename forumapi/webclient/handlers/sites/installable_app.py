"""Website as an installable app (PWA): manifest, service worker, page shown offline; and the list of keyboard
shortcuts.
"""

from __future__ import annotations

import hashlib
from html import unescape
from typing import Final

import msgspec

from forumapi.webclient import site_colours, static
from forumapi.webclient.view import View
from forumapi.webclient.visit import PERSON, Answer, Visit

# Letters of a name under an icon.
SHORT: Final = 12


class ManifestView(View):
    """Web app manifest of a site: name, colours and icons."""

    def get(self, visit: Visit) -> Answer:
        """Send the manifest as JSON; its `lang` and `dir` are code and direction of the visitor's language."""
        title = unescape(visit.site["title"])
        icons = [
            {"src": static.address("icon.svg"), "sizes": "any", "type": "image/svg+xml"},
            *(
                {
                    "src": static.address(f"icon-{size}.png"),
                    "sizes": f"{size}x{size}",
                    "type": "image/png",
                    "purpose": purpose,
                }
                for size in (192, 512)
                for purpose in ("any", "maskable")
            ),
        ]
        manifest = {
            "id": "/",
            "name": title,
            "short_name": title if len(title) <= SHORT else title[:SHORT].rsplit(" ", 1)[0],
            "description": unescape(visit.site["description"]),
            "lang": visit.language.code,
            "dir": visit.language.direction,
            "start_url": "/",
            "scope": "/",
            "display": "standalone",
            "background_color": site_colours.PAPER,
            "theme_color": site_colours.accent(visit.site),
            "icons": icons,
        }
        return visit.send(msgspec.json.encode(manifest), "application/manifest+json")


class ServiceWorkerView(View):
    """Service worker, the script by which a browser caches pages and shows them offline; it serves all of the site's
    pages, so that its address is at the root.
    """

    def get(self, visit: Visit) -> Answer:
        """Send the script with a version that changes with the static files, the site's colours and title, and the
        visitor's language; browsers then fill their cache anew.
        """
        found = static.named("service-worker.js")
        shown = (
            static.version(),
            site_colours.address(visit.site),
            visit.site["title"],
            visit.language.code,
        )
        version = hashlib.sha256("\0".join(shown).encode()).hexdigest()[:10]
        text = f'const VERSION = "{version}";\n'.encode() + found.data
        return visit.send(text, found.type, headers={"Cache-Control": "no-cache"})


class OfflineView(View):
    """Page that the service worker shows without a network, in place of a page that is not cached."""

    def get(self, visit: Visit) -> Answer:
        """Show the page as for a guest, also to members, since the browser caches it for everybody on the device."""
        visit.__dict__["me"] = None
        answer = visit.page("offline.html")
        return answer._replace(headers=[one for one in answer.headers if one[0] != PERSON])


class ShortcutsView(View):
    """Page that lists the keyboard shortcuts."""

    def get(self, visit: Visit) -> Answer:
        """Show the list of the website's keyboard shortcuts."""
        return visit.page("shortcuts.html")
