"""Time: the processor and what is built on it, on files and (later) devices."""
