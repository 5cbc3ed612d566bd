"""OpenAPI document of the API, AsyncAPI document of the live events, and the reference page."""
