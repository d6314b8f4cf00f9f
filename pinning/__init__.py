"""Pinning: what accounts asked to be kept, how it is brought here, and what proves that it is."""
