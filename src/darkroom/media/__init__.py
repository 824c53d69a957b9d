"""The domain: what a media is, and the rules of its life. Pure: no I/O, no frameworks."""
