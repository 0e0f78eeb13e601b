"""The hostile side of the world: what a provider's API or a file host may do to whoever asks it."""
