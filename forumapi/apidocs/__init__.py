"""OpenAPI and AsyncAPI documents, and the reference page."""
