"""What bytes mean: names, ranges and trees. Pure and synchronous; nothing here does I/O."""
