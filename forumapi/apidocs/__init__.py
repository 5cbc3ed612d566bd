"""OpenAPI document of the API, AsyncAPI document of the live events, and how clients name its operations."""
