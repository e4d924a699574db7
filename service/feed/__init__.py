"""The feed: all that happened to a brand's customers, for a consumer that stops and resumes as it likes."""
