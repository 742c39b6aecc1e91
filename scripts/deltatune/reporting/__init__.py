"""The report: its sentences, tables, figures, examples, and the page that holds them."""
