"""What the commands share: the frame they run in, what they say and where, and the paths they are given."""
