package main

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/agent"
	"pinwheel/internal/certs"
	"pinwheel/internal/cli"
	"pinwheel/internal/config"
	"pinwheel/internal/proc"
)

// settings are a slave's. The tags are the manual: they make the flags, the
// PINWHEEL_* variables, the keys of slave.toml and docs/configuration.md (see
// config.Bind).
type settings struct {
	NATSURL  string     `key:"nats-url" help:"the farm's NATS server, <URL> as nats://HOST:4222" empty:"none; run needs one"`
	Creds    string     `key:"creds" help:"credentials <FILE>, as master enroll prints it" empty:"none; run needs one"`
	StateDir string     `key:"state-dir" help:"<DIR> of unreported work and builds under way" empty:"/var/lib/pinwheel/slave for root, else pinwheel/slave below XDG_STATE_HOME or ~/.local/state"`
	Python   string     `key:"python" help:"the interpreter, <FILE>, to build with" empty:"the first that the build user can run"`
	Targets  targetList `key:"target" help:"a target to serve, <TABLE> as root=DIR,python=FILE,target=TAG, all of it optional; several: once each" empty:"the one of this machine's Python"`
	Allow    string     `key:"allow-network" help:"networks that builds may reach although they are not public, <CIDR>,… as 10.1.0.0/16" empty:"none"`
	Sandbox  string     `key:"sandbox" default:"bwrap" help:"<KIND> of fence around builds: bwrap, or none to build without one"`

	TLSCA   string `key:"tls-ca" help:"the authorities, <FILE>, PEM, that the farm's NATS and HTTP are trusted by; with it, NATS must speak TLS" empty:"the system's"`
	TLSCert string `key:"tls-cert" help:"this slave's own certificate, <FILE>, PEM, for servers that want one" empty:"none"`
	TLSKey  string `key:"tls-key" help:"the key, <FILE>, PEM, of tls-cert" empty:"none"`

	MaxTemperature int           `key:"max-temperature" default:"80" help:"<DEGREES> Celsius above which no job is asked for, until it is 5 less; 0: however hot it is"`
	MinDisk        config.Size   `key:"min-disk" default:"1G" help:"free space in the state folder below which no job is asked for"`
	MaxSkew        time.Duration `key:"max-skew" default:"5m" help:"by how much the clock may differ from the farm's, beyond which no job is asked for; 0s: whatever it is"`
}

// certificates reads the files of TLS.
func (s settings) certificates(now func() time.Time, log zerolog.Logger) (*certs.Certs, error) {
	c, err := certs.Open(certs.Files{Cert: s.TLSCert, Key: s.TLSKey, CA: s.TLSCA}, now, log)
	if errors.Is(err, certs.ErrHalf) {
		return nil, cli.Usage("%w", err)
	}
	return c, err
}

// fitness is what this machine must be to take a job.
func (s settings) fitness() agent.Fitness {
	return agent.Fitness{MaxTemperature: float64(s.MaxTemperature), MinDisk: int64(s.MinDisk), MaxSkew: s.MaxSkew}
}

func (s *settings) bind(cmd *cobra.Command, keys ...string) {
	if s.Targets.Read == nil {
		s.Targets = newTargetList()
	}
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
