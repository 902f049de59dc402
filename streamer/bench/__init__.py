"""``stemstream bench``: what a network costs on this machine, setting by setting, beside the plain way."""
