package main

import (
	"net"
	"strconv"

	"pinwheel/internal/cli"
)

// checkAddress refuses what cannot be an address to listen on; whether it is to be
// had here, only trying tells. Empty is the default.
func checkAddress(flag, address string) error {
	if address == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return cli.Usage("%s %q: want HOST:PORT or :PORT, for example 127.0.0.1:7070", flag, address)
	}
	return nil
}
