"""Where content comes from when it is not here: other gateways and providers, always verified."""
