"""A hostile run against a real service: whatever is sent, it stays up, says what is wrong, and the books stay right."""
