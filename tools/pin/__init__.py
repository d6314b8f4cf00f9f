"""The command line `fleek-pin`: pins at any IPFS pinning service, and in a store of this machine."""
