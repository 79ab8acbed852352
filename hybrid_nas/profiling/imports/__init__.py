"""Logs and reports of other tools as rows of a latency table; one module per format."""
