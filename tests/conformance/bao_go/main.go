// Checks our proofs with somebody else's decoder: reads a stream on standard input, writes the proven bytes.
//
//	bao_go decode ROOT              a combined encoding
//	bao_go slice  ROOT START LENGTH a slice
//	bao_go outboard FILE            the outboard of a file, on standard output (16 KiB groups)
package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"

	"lukechampine.com/blake3/bao"
)

const group = 4 // 1024 << 4 = 16 KiB

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if args[0] == "outboard" {
		data, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		encoded, _ := bao.EncodeBuf(data, group, true)
		_, err = os.Stdout.Write(encoded)
		return err
	}
	var root [32]byte
	raw, err := hex.DecodeString(args[1])
	if err != nil || copy(root[:], raw) != 32 {
		return fmt.Errorf("malformed root %q", args[1])
	}
	var proven bytes.Buffer
	ok := false
	switch args[0] {
	case "decode":
		ok, err = bao.Decode(&proven, os.Stdin, nil, group, root)
	case "slice":
		start, _ := strconv.ParseUint(args[2], 10, 64)
		length, _ := strconv.ParseUint(args[3], 10, 64)
		ok, err = bao.DecodeSlice(&proven, os.Stdin, group, start, length, root)
	default:
		return fmt.Errorf("unknown form %q", args[0])
	}
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("not what the root names")
	}
	_, err = io.Copy(os.Stdout, &proven)
	return err
}
