"""Texts of other forums, converted to the Markdown that members type."""
