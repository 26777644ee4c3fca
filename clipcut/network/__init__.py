"""The way to the network: requests, and everything that bounds them. Knows nothing of video."""
