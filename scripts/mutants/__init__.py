"""Mutation testing: faults put into permissions, models and delivery one at a time, each against its tests."""
