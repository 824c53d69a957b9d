"""Pictures as bytes: decode, verify, measure, thumbnail, metadata."""
