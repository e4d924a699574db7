"""Exports over HTTP: jobs that the worker makes, and their files.

actions      ordering a job, and cancelling it or deleting its files
spans        what `from` and `to` name
exporter     the agent that makes the files; `making` is what it shares with `rewards export`
export_pruner  the agent that removes files that nobody is to have any more
downloads    a file, or a range of its bytes
"""
