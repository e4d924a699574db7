"""Concurrency within a process: lookups made in batches, fairness between requests, shared timeouts, a TTL cache."""
