"""What recovery decides: pure functions and values, standard library only."""
