package main

import (
	"net/url"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/proc"
)

// settings are a master's. Each has a flag and a PINWHEEL_* variable.
type settings struct {
	StateDir    string // keys, the embedded database, and the defaults of the next two
	DepotDir    string // wheel files and logs
	SiteDir     string // the static site
	CacheDir    string // what can be fetched again
	Listen      string // HTTP
	PublicURL   string // what slaves and pip call us; default: from Listen
	NATSListen  string
	DatabaseURL string // empty: the embedded Postgres
	Upstream    string // empty: what this machine's pip uses
	Python      string // the pip that is asked

	Lease  time.Duration // 0: the default; tests shorten it
	Limits farm.Limits   // of a build; zero: the defaults
}

func (s *settings) stateFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.StateDir, "state-dir", proc.DefaultStateDir(), "keys and the embedded database")
	cmd.Flags().StringVar(&s.DatabaseURL, "database-url", "", "an external Postgres, `postgres://…`; default: the embedded one")
}

func (s *settings) serveFlags(cmd *cobra.Command) {
	s.stateFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&s.DepotDir, "depot-dir", "", "wheel files and logs (default STATE/depot)")
	f.StringVar(&s.SiteDir, "site-dir", "", "the published site (default STATE/site)")
	f.StringVar(&s.Listen, "listen", "127.0.0.1:7070", "address of the site and of uploads")
	f.StringVar(&s.PublicURL, "public-url", "", "base URL that slaves and pip use (default http://LISTEN)")
	f.StringVar(&s.NATSListen, "nats-listen", "127.0.0.1:4222", "address of the embedded NATS server")
	f.StringVar(&s.Upstream, "upstream", "", "the index to follow, `URL` of its simple/ (default: the one that pip here uses)")
	f.StringVar(&s.Python, "python", "", "the interpreter whose pip is asked (default: the first that works)")
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
	for flag, v := range map[string]string{"--upstream": s.Upstream, "--public-url": s.PublicURL} {
		if v == "" {
			continue
		}
		if u, err := url.Parse(v); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return cli.Usage("%s %q: want a URL that starts with http:// or https://", flag, v)
		}
	}
	return nil
}

func (s settings) postgresDir() string { return filepath.Join(s.StateDir, "postgres") }
func (s settings) natsDir() string     { return filepath.Join(s.StateDir, "nats") }
