"""`python -m tools.edge` is `fleek-edge`."""

from tools.edge.main import main

main()
