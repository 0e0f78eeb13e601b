"""What the notifier decides and says: pure functions and values, standard library only."""
