"""A store read as an answer: the best cells, as text, pictures and tables for other programs."""
