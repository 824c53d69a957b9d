"""How those who watch a media hear of it. A hint: the row is the truth."""
