"""`python -m tools.pin` is `fleek-pin`."""

from tools.pin.main import main

main()
