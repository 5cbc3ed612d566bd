"""Requests to servers outside, none of them to an inner address."""
