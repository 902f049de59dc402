"""Libraries that run networks, one file each."""
