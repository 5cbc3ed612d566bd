"""Shapes and rules of what goes over the wire, in both directions."""
