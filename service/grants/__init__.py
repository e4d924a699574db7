"""Grants: events in, decisions out; quotes, approvals, and decisions made again."""
