"""For a user's own diffusers pipeline: apply a schedule to it, train a router for it."""
