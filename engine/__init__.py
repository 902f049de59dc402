"""Inference: what a model is, how audio is cut into windows and put together again, on one thread. No devices."""
