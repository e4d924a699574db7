"""Evidence: whether a person or a machine requested a link, the log of it, and the report on it."""
