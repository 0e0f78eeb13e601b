"""Messages that commit with the state they speak of, and their way out: rows first, broker second."""
