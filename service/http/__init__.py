"""HTTP: bodies, problems, idempotency keys, pagination, paths, middleware, and the fast paths in front of the framework."""
