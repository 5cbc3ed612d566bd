"""Style sheets, scripts, pictures and icon of the website, which are files and the same for everybody."""

from __future__ import annotations

from forumapi.webclient import site_colours, static
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit


class StaticView(View):
    """File that comes with the website; its address holds a hash of its content, so browsers keep it for ever."""

    def get(self, visit: Visit, name: str) -> Answer:
        """Send the file, compressed for those who take that."""
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
    """Style sheet of a site: its colours."""

    def get(self, visit: Visit, key: str) -> Answer:
        """Send the sheet; under an address that names other colours it must not be kept."""
        is_current = site_colours.address(visit.site) == visit.path
        keep = static.FOREVER if is_current else "no-cache"
        return visit.send(
            site_colours.sheet(visit.site),
            "text/css; charset=utf-8",
            headers={"Cache-Control": keep},
        )


class DefaultLogoView(View):
    """Logo and favicon of a site that has none of its own, at the addresses that the API gives for them."""

    def get(self, visit: Visit) -> Answer:
        """Lead to the picture that every site has."""
        return visit.redirect(static.address("icon-192.png"), status=302)


class IconView(View):
    """Icon of a site."""

    def get(self, visit: Visit) -> Answer:
        """Lead to the icon that every site has."""
        return visit.redirect(static.address("icon.svg"), status=302)
