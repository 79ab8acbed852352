"""How latency tables come to be: boards, emulated boards, the host, and vendors' logs."""
