"""Admission: what one request, and one client, may cost a process; what is in flight, and for whom."""
