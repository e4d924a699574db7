"""The application: Litestar on top of the ledger. A folder here is a capability; a file is plumbing."""
