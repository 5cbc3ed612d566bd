"""Texts of content: their rendering with what it looks up, the short links in them, and their removal for good."""
