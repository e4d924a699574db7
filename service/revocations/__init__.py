"""Revocations: links that earn nothing any more, and what a key has made."""
