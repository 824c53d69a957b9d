"""What the service does: the life of a media, and the loops that carry it."""
