//go:build peer

// Package peer names the program that tests and benches talk to, so that `go build` finds its versions in go.mod.
package peer

import _ "github.com/ipfs/kubo/cmd/ipfs"
