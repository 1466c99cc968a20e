package main

import (
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
)

func newRoot() *cobra.Command {
	root := cli.Root("master", "The head of a wheel build farm",
		`master follows the upstream index, queues every release, hands jobs to slaves,
verifies what they bring, and publishes an index that pip reads.

Settings come from flags, then from PINWHEEL_* variables (PINWHEEL_STATE_DIR for
--state-dir), then from one file (--config). Data goes to stdout, progress and logs
to stderr. Exit status: 0 done, 1 failed, 2 wrong usage.`)
	root.AddCommand(
		newDemo(), newServe(), newMigrate(), newTarget(), newEnroll(),
		newAdd(), newBackfill(), newRequeue(), newStatus(), newCheck(),
		newConfig(), newNATSConfig(),
		newRevoke(), newSlaves(), newRemove(), newLog(), newPublish(), newAudit(),
		newRecipe(),
		newFailures(), newUndo(), newSkip(), newUnskip(), newQueue(), newWhy(), newHistory(),
	)
	cli.Offer(root, map[string][]string{
		"role": {string(farm.RoleSlave), string(farm.RoleMonitor), string(farm.RoleOperator)},
	})
	return root
}
