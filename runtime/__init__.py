"""What every other folder may use: errors, clock, metrics, board, tasks. A closed list."""
