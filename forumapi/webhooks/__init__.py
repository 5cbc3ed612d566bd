"""Deliveries to the receivers that site owners register."""
