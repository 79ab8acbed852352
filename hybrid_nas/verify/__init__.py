"""What was promised against what a device that runs the exported pair shows."""
