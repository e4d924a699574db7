"""Cryptography: keys derived from the link keys, and records that carry a MAC."""
