"""Sound devices: what there is, and full-duplex streams whose callbacks keep time."""
