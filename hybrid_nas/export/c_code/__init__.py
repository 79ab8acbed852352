"""Self-contained C99 code of an int8 network and its router: no allocation, one static arena."""
