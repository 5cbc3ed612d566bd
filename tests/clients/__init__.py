"""The clients for Python and TypeScript, on real servers and on bad ones."""
