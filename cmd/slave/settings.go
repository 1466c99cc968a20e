package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/config"
	"pinwheel/internal/proc"
)

// settings are a slave's. The tags are the manual: they make the flags, the
// PINWHEEL_* variables, the keys of slave.toml and docs/configuration.md (see
// config.Bind).
type settings struct {
	NATSURL  string `key:"nats-url" help:"the farm's NATS server, <URL> as nats://HOST:4222" empty:"none; run needs one"`
	Creds    string `key:"creds" help:"credentials <FILE>, as master enroll prints it" empty:"none; run needs one"`
	StateDir string `key:"state-dir" help:"<DIR> of unreported work and builds under way" empty:"/var/lib/pinwheel/slave for root, else pinwheel/slave below XDG_STATE_HOME or ~/.local/state"`
	Python   string `key:"python" help:"the interpreter, <FILE>, to build with" empty:"the first that the build user can run"`
	Sandbox  string `key:"sandbox" default:"bwrap" help:"<KIND> of fence around builds: bwrap, or none to build without one"`
}

func (s *settings) bind(cmd *cobra.Command, keys ...string) {
	if s.StateDir == "" {
		s.StateDir = filepath.Join(proc.DefaultStateDir(), "slave")
	}
	config.Bind(cmd.Flags(), s, keys...)
	config.WithFile(cmd.Flags(), "slave", s)
}

func newConfig() *cobra.Command {
	var set settings
	cmd := cli.Config("slave", func() any { return set })
	set.bind(cmd)
	return cmd
}
