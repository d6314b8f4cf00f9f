"""One appliance: its settings, the processes it is made of, and the one place that joins its parts."""
