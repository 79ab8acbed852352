"""What architectures cost on a board: SRAM, flash and latency, one or thousands at once."""
