"""Requests, texts and addresses that mean the website or its visitors harm."""
