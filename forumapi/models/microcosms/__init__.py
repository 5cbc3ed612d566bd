"""Microcosms, their counters and links, and moderation in them."""
