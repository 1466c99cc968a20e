package main

import (
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
)

func newConfig() *cobra.Command {
	var set settings
	cmd := cli.Config("master", func() any { return set.fill() })
	set.serveFlags(cmd)
	return cmd
}
