"""For a user's own diffusers pipeline: search a schedule or train a router, and apply it."""
