"""Which models there are, how they are loaded, and where a policy can act in them."""
