"""Search spaces: genes <-> `Architecture` <-> list of `OpSpec`."""
