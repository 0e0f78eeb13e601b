"""Message handlers: they translate and delegate."""
