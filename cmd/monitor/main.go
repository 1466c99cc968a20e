// Command monitor shows a farm on a terminal, and lets operators steer it.
// `monitor help` says how.
package main

import (
	"context"
	"os"

	"pinwheel/internal/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), newRoot(), os.Args[1:]))
}
