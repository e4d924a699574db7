"""Code batches: codes for packs, print and displays, their claims, and their QR codes."""
