"""Commands about the people who work for a brand: `person` and `approval`."""
