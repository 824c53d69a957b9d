"""Adapters to the backends that make pictures. `registry` is the table of them."""
