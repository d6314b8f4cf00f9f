"""HTTP by content name: what a request for `/blake3/…` means and how it is answered."""
