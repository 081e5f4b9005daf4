"""Lanes over TCP and TLS 1.3, and the certificates that both ends show."""
