"""The command line: `rewards` and its commands, one module each."""
