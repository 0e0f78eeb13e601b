"""What recovery can do, one verb per file, and the ports it needs."""
