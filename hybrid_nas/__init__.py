"""hybrid-nas: joint search for the on-device network and the router of a hybrid classifier."""

__version__ = "0.1.0"
