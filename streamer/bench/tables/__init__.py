"""The tables: which rows each has, and what is told of them."""
