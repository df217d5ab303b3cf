"""Markov chains over latents."""
