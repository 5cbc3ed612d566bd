"""Reference pages of the API, made of the OpenAPI document: one a tag, their search, and a page to try calls on."""
