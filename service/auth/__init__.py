"""Who is calling, and what they may do: API keys, scopes, and the guard that routes declare."""
