"""The feed: everything that happened to a brand's customers, for consumers that stop and resume."""
