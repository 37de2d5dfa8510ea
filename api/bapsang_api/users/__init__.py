"""Accounts: who a user is, what they are called, how they prove it."""
