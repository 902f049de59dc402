"""Audio files: read as streams of blocks, converted between rates, written whole or not at all."""
