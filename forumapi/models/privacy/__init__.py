"""Personal data: what each table holds of people, copies of it, its erasing (requests, then steps), the list of
quotations that stay, and consents to legal texts.
"""
