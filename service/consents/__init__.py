"""Consents: where customers may be contacted, one at a time or as a do-not-call list."""
