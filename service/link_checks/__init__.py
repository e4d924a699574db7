"""Link checks: the state of a link, or what is wrong with it, for the brand that sent it."""
