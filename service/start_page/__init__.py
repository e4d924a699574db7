"""The page at the service's own address."""
