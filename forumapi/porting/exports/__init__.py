"""Exports of sites: their documents, how they are written, and their canonical hash."""
