"""What waits on the disks of all machines: each reports on its own spool."""
