"""What is at the service's own address."""
