"""Final training of a base-router pair: router, base and cloud in turn, as int8 will compute."""
