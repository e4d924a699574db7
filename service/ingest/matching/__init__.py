"""Which message a provider's event is of: by our token, by what was registered, or as the answer to the last one sent."""
