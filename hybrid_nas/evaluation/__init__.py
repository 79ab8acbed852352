"""Evaluation of a pair: what its int8 form does on the test split, beside every alternative."""
