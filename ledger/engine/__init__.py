"""Everything that posts: one writer for each book, in batches."""
