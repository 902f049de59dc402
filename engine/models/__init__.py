"""Networks that come with the engine, one file each."""
