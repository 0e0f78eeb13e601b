"""What the notifier can do, one verb per file, and the ports it needs."""
