"""Where pictures are kept: a folder, or any object store."""
