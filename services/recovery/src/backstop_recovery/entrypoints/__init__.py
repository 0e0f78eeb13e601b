"""Message handlers and background loops: they translate and delegate."""
