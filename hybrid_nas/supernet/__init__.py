"""Weight-sharing networks on `ofa`'s dynamic layers: activate, calibrate, run, train, load."""
