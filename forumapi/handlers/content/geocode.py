"""Geocoding: coordinates of a place by its name, for the form of an event. Wire: docs/api/geocode.md."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from forumapi.errors import OUT_OF_RANGE, BadGateway, Invalid, NotImplementedHere
from forumapi.models.content import geocode_cache
from forumapi.outbound.geocoders import GeocoderError
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, Handler, Param, needs
from forumapi.request.handler_results import RawResponse, Result
from forumapi.wire.json_fragments import dumps

MAX_PLACE: Final = 200


class GeocodeHandler(Handler):
    """Coordinates of a place by its name, in Nominatim's form."""

    closed_in_sandboxes = ("GET",)
    also_answers: ClassVar = {"GET": (501, 502)}

    @needs(
        LOGIN,
        answer=dict[str, Any],
        params=(Param("q", str, "The place, such as `North gate, Porto`."),),
        media_type="application/json",
    )
    def get(self, ctx: Context) -> Result:
        """The best match for the place named in `q`, in Nominatim's form and without the envelope; `{}` if there is no
        match.

        400 without `q` and for more than 200 characters, 501 if no geocoder is set up, 502 if it fails.
        """
        place = " ".join(ctx.query.get("q", "").split())
        if not place:
            raise Invalid("q", "is required")
        if len(place) > MAX_PLACE:
            raise Invalid("q", f"may have at most {MAX_PLACE} characters", code=OUT_OF_RANGE)
        geocoder = ctx.app.geocoder
        if geocoder is None:
            raise NotImplementedHere("No geocoder is set up")
        answer = geocode_cache.find(ctx.reader, geocoder.name, place)
        if answer is None:
            # Others may use the connection while the geocoder is asked.
            ctx.reader.end()
            try:
                answer = geocoder.find(place)
            except GeocoderError as error:
                raise BadGateway(f"The geocoder failed. {error}") from None
            geocode_cache.store(ctx.reader, geocoder.name, place, answer)
        return RawResponse(
            dumps(answer), "application/json", (("Cache-Control", "no-cache, max-age=0"),)
        )
