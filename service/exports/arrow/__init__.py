"""Parquet, by Arrow: the only place that loads it, and nothing loads this before it is asked for a file."""
