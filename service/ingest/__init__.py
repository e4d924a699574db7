"""Ingest: what messaging providers send us, from their request to what it earns."""
