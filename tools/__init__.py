"""Commands for people. The top of the house: it may import everything and nothing imports it."""
