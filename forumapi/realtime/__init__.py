"""Pushing events to whoever follows them: WebSocket, Server-Sent Events, long polling; one log, one set of cursors."""
