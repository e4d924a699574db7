"""Link pages: what happens when a link is followed, with a database and without."""
