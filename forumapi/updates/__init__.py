"""Updates (notifications) in the list, as mail, as web push and as a digest: `dispatch` decides whom an event concerns
and queues; whether a message is sent, and its text, is decided when it is sent, for mail and web push alike; `mail/`
leases and sends mail, `push_sender` web push.
"""
