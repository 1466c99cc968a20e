// Command master is the farm's head: it follows the upstream, queues, leases,
// collects, publishes and serves. `master help` lists what it does.
package main

import (
	"context"
	"os"

	"pinwheel/internal/builder"
	"pinwheel/internal/cli"
)

func main() {
	builder.Inside()
	os.Exit(cli.Main(context.Background(), newRoot(), os.Args[1:]))
}
