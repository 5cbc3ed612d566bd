"""Readers of other forums' storage, one module a product, that write nothing."""
