"""Static files of the website, a site's style sheet of colours, and redirects to the default logo and icon."""

from __future__ import annotations

from forumapi.webclient import site_colours, static
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit


class StaticView(View):
    """File that comes with the release; its address holds a hash of its content, so that browsers cache it for ever."""

    def get(self, visit: Visit, name: str) -> Answer:
        """Send the file with the key `name`, as gzip if the browser takes that. Raises Refused with 404 for an unknown
        key.
        """
        found = static.find(name)
        if found is None:
            raise Refused(404)
        headers = {"Cache-Control": static.FOREVER, "Vary": "Accept-Encoding"}
        if "gzip" in visit.environ.get("HTTP_ACCEPT_ENCODING", ""):
            return visit.send(
                found.compressed, found.type, headers={**headers, "Content-Encoding": "gzip"}
            )
        return visit.send(found.data, found.type, headers=headers)


class ThemeView(View):
    """Style sheet of a site, which sets its colours."""

    def get(self, visit: Visit, key: str) -> Answer:
        """Send the style sheet of the site's present colours, whatever `key` is. If `key` is the hash of that sheet,
        browsers keep it for ever, else they ask again each time.
        """
        is_current = site_colours.address(visit.site) == visit.path
        keep = static.FOREVER if is_current else "no-cache"
        return visit.send(
            site_colours.sheet(visit.site),
            "text/css; charset=utf-8",
            headers={"Cache-Control": keep},
        )


class DefaultLogoView(View):
    """Redirect to the default logo or favicon, from the addresses that the API gives for a site without its own."""

    def get(self, visit: Visit) -> Answer:
        """Redirect to the picture that comes with the release, the same for every site."""
        return visit.redirect(static.address("icon-192.png"), status=302)


class IconView(View):
    """Redirect from the address at which browsers look for a site's icon."""

    def get(self, visit: Visit) -> Answer:
        """Redirect to the icon that comes with the release, the same for every site."""
        return visit.redirect(static.address("icon.svg"), status=302)
