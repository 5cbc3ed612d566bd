"""Personal data: what each table holds of people, copies of it, its erasing (requests, then steps), and the list of
quotations that stay.
"""
