"""Live events over WebSocket, server-sent events and long polling: clients join `live_service`, which delivers what
`delivery_permissions` allows.
"""
