"""Steps of networks in C, compiled on the machine that runs them and kept in the cache folder."""
