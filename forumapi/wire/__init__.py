"""Shapes and rules of what goes over the wire, in both directions. `openapi_enums` and `documented_headers` only
describe, for the OpenAPI document (headers also for CORS); they check and parse nothing.
"""
