package main

import (
	"net/url"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/config"
	"pinwheel/internal/farm"
	"pinwheel/internal/proc"
)

// settings are a master's. The tags are the manual: they make the flags, the
// PINWHEEL_* variables, the keys of master.toml and docs/configuration.md (see
// config.Bind). A field without a key is for tests.
type settings struct {
	StateDir    string `key:"state-dir" help:"<DIR> of keys and the embedded database" empty:"/var/lib/pinwheel for root, else pinwheel below XDG_STATE_HOME or ~/.local/state"`
	DatabaseURL string `key:"database-url" help:"an external Postgres, <URL> as postgres://USER@HOST/NAME; serve wants its schema up to date" empty:"an embedded one, in the state directory"`
	DepotDir    string `key:"depot-dir" help:"<DIR> of wheel files and logs" empty:"depot in the state directory"`
	SiteDir     string `key:"site-dir" help:"<DIR> of the published site, on the depot's file system" empty:"site in the state directory"`
	Listen      string `key:"listen" default:"127.0.0.1:7070" help:"<ADDRESS> of the site and of uploads; :7070 is every address of this host"`
	PublicURL   string `key:"public-url" help:"base <URL> by which slaves and pip reach the site; uploads go there as well" empty:"http:// and the address of listen"`
	NATSListen  string `key:"nats-listen" default:"127.0.0.1:4222" help:"<ADDRESS> of the embedded NATS server, which lets nobody in without credentials"`
	NATSURL     string `key:"nats-url" help:"an external NATS server, <URL> as nats://HOST:4222, instead of the embedded one; it must be told what nats-config prints" empty:"the embedded server"`
	NATSCreds   string `key:"nats-creds" help:"credentials <FILE> of the master for nats-url, as nats-config --creds prints it" empty:"made anew at each start from the keys of the state directory"`
	Upstream    string `key:"upstream" help:"the index to follow, <URL> of its simple/" empty:"the one that pip here uses"`
	Python      string `key:"python" help:"the interpreter, <FILE>, whose pip is asked" empty:"the first that works"`

	CacheDir  string        // what can be fetched again
	Lease     time.Duration // 0: the default; tests shorten it
	RootEvery time.Duration // between two root indexes; the same
	Limits    farm.Limits   // of a build; zero: the defaults
}

// stateFlag is for the commands that only need the farm's state.
func (s *settings) stateFlag(cmd *cobra.Command) {
	s.bind(cmd, "state-dir", "database-url")
}

// serveFlags are all settings.
func (s *settings) serveFlags(cmd *cobra.Command) { s.bind(cmd) }

func (s *settings) bind(cmd *cobra.Command, keys ...string) {
	s.StateDir = proc.DefaultStateDir()
	config.Bind(cmd.Flags(), s, keys...)
	config.WithFile(cmd.Flags(), "master", s)
}

// fill derives what was not given.
func (s settings) fill() settings {
	or := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	or(&s.DepotDir, filepath.Join(s.StateDir, "depot"))
	or(&s.SiteDir, filepath.Join(s.StateDir, "site"))
	or(&s.CacheDir, proc.DefaultCacheDir())
	return s
}

// check refuses addresses that cannot be ones, before anything is begun.
func (s settings) check() error {
	if err := s.checkNATS(); err != nil {
		return err
	}
	for flag, v := range map[string]string{"--upstream": s.Upstream, "--public-url": s.PublicURL} {
		if v == "" {
			continue
		}
		if u, err := url.Parse(v); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return cli.Usage("%s %q: want a URL that starts with http:// or https://", flag, config.Hide(v))
		}
	}
	return nil
}

func (s settings) postgresDir() string { return filepath.Join(s.StateDir, "postgres") }
func (s settings) natsDir() string     { return filepath.Join(s.StateDir, "nats") }
