"""Clients of the API in Python and TypeScript: a generator over the OpenAPI document, and the cores beside it."""
