"""Everything that only reads, now and at a cut."""
