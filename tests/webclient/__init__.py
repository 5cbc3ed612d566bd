"""Website in a real browser, and as bytes."""
