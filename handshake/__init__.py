"""Who is calling, and what they may do: tokens now; sessions and lanes on top of them."""
