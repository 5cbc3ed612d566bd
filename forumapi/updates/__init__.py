"""Updates about what is watched, in the list, as mail, as push and as a digest: `dispatch` decides whom an event
concerns and queues; whether a message is sent, and its text, is decided when it is sent, for mail and web push alike;
`mail/` leases and sends.
"""
