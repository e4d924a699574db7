"""Brand settings: what an administrator may change of a brand, and its link host."""
