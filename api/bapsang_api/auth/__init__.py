"""Logins: sessions, refresh tokens and the revocation of access tokens."""
