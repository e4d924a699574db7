"""Where customers may be contacted: what was said about it, by whom and when, one at a time or as a do-not-call list."""
