"""Paths through latent space: pure functions of a position along them, from which videos are drawn."""
