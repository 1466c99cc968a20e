// Command slave is the farm's hand: it asks a master for jobs, builds them in a
// sandbox, and brings back what came of them. `slave help` lists what it does.
package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"pinwheel/internal/builder"
	"pinwheel/internal/cli"
)

func main() {
	builder.Inside()
	os.Exit(cli.Main(context.Background(), newRoot(), os.Args[1:]))
}

func newRoot() *cobra.Command {
	root := cli.Root("slave", "A builder of a wheel build farm",
		`slave builds wheels for a farm, or one wheel here and now.

Settings come from flags, then from PINWHEEL_* variables (PINWHEEL_NATS_URL for
--nats-url), then from one file (--config). Data goes to stdout, progress and logs
to stderr. Exit status: 0 done, 1 failed, 2 wrong usage.`)
	root.AddCommand(newRun(), newBuild(), newDoctor(), newConfig())
	cli.Offer(root, map[string][]string{"sandbox": {string(builder.Bwrap), string(builder.None)}})
	return root
}
