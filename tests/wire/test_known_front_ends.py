"""A front end is known by its network, in whatever form the address of a peer is written."""

from __future__ import annotations

from forumapi.wire.known_front_ends import FrontEnds


def test_a_front_end_is_known_however_its_address_is_written() -> None:
    front_ends = FrontEnds(("web 203.0.113.0/24 bikes", "web 2001:db8::7 *"))

    for peer in ("203.0.113.7", "::ffff:203.0.113.7", "2001:db8::7", "2001:0DB8:0::7"):
        assert (front_ends.find(peer, "", "bikes"), front_ends.holds(peer)) == ("web", True)
    for peer in ("203.0.114.7", "::ffff:203.0.114.7", "2001:db8::8", ""):
        assert (front_ends.find(peer, "", "bikes"), front_ends.holds(peer)) == ("", False)
