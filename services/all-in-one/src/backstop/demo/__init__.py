"""A believable world to watch Backstop in: people, credits, stuck generations, and a proof of what came of them."""
