"""Live events over WebSocket, server-sent events and long polling."""
