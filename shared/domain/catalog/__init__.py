"""The words: one module per language, one typed Catalog."""
