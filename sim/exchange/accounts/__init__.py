"""Accounts, orders and matching, with all that may go wrong on a request's way."""
