"""Texts of other forums, converted to the Markdown that members type, one module a product or two."""
