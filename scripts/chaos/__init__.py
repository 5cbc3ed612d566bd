"""Fault injection, `make chaos`: services fail while people write and read, and nothing may be lost."""
