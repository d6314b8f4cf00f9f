"""`fleek-edge`: one file per group of commands; `main` alone turns errors into output and exit codes."""
