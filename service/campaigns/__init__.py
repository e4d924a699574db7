"""Campaigns: what earns points, when, and out of which budget; versions of their terms."""
