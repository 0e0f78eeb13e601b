"""HTTP: routes, pages, who may call them, and what goes wrong, in the shapes outsiders see."""
