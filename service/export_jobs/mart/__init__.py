"""The data mart: a business date of a brand as a star of Parquet files, which a worker makes when the day is over.

facts       the files and their columns; docs/data-mart.md says what they mean
scheduler   the agent that orders the next day that is missing
"""
