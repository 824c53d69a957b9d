"""The surfaces: each parses, calls the engine, renders."""
