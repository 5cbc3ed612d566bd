"""Mutation testing: faults are put into permissions, models and delivery, one at a time, and tests have to find
them.
"""
