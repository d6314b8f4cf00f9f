"""UnixFS: files, directories and symlinks over dag-pb and raw blocks (specs.ipfs.tech/unixfs)."""
