"""How a record that was left out is put on file: its number, the field, the reason, an excerpt."""

COLUMNS = ["row", "field", "reason", "excerpt"]
