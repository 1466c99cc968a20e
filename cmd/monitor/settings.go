package main

import (
	"errors"
	"net/url"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/bus"
	"pinwheel/internal/certs"
	"pinwheel/internal/cli"
	"pinwheel/internal/config"
)

// settings are a monitor's. The tags are the manual: they make the flags, the
// PINWHEEL_* variables, the keys of monitor.toml and docs/configuration.md (see
// config.Bind).
type settings struct {
	NATSURL string        `key:"nats-url" help:"the farm's NATS server, <URL> as nats://HOST:4222" empty:"none; a farm is shown by one"`
	Creds   string        `key:"creds" help:"credentials <FILE>, as master enroll prints it for a monitor or an operator" empty:"none; a farm is shown with them"`
	TLSCA   string        `key:"tls-ca" help:"the authorities, <FILE>, PEM, that the farm's NATS server is trusted by; with it, it must speak TLS" empty:"the system's"`
	TLSCert string        `key:"tls-cert" help:"the monitor's own certificate, <FILE>, PEM, for servers that want one" empty:"none"`
	TLSKey  string        `key:"tls-key" help:"the key, <FILE>, PEM, of tls-cert" empty:"none"`
	Every   time.Duration `key:"every" default:"2s" help:"pause between two looks at the farm"`
}

// leastEvery keeps a typing error from asking the farm without pause.
const leastEvery = 200 * time.Millisecond

func (s *settings) bind(cmd *cobra.Command) {
	config.Bind(cmd.Flags(), s)
	config.WithFile(cmd.Flags(), "monitor", s)
}

// check refuses what cannot be; the invented farm of a demo needs no server.
func (s settings) check(demo bool) error {
	if s.Every < leastEvery {
		return cli.Usage("--every %s: want %s or more", s.Every, leastEvery)
	}
	if demo {
		return nil
	}
	if s.NATSURL == "" || s.Creds == "" {
		return cli.Usage("--nats-url and --creds are needed; `master enroll NAME --role monitor` prints credentials, --demo needs none")
	}
	if err := bus.CheckURL(s.NATSURL); err != nil {
		return cli.Usage("--nats-url: %w", err)
	}
	return nil
}

// options are all that a connection is made of.
func (s settings) options(log zerolog.Logger) (bus.Options, error) {
	trust, err := certs.Open(certs.Files{Cert: s.TLSCert, Key: s.TLSKey, CA: s.TLSCA}, time.Now, log)
	if errors.Is(err, certs.ErrHalf) {
		err = cli.Usage("%w", err)
	}
	return bus.Options{URL: s.NATSURL, CredsFile: s.Creds, Label: "monitor", TLS: trust, Log: log}, err
}

// where is the farm's name for people: its server without who asks it.
func (s settings) where() string {
	if u, err := url.Parse(s.NATSURL); err == nil && u.Host != "" {
		return u.Host
	}
	return config.Hide(s.NATSURL)
}

func newConfig() *cobra.Command {
	var set settings
	cmd := cli.Config("monitor", func() any { return set })
	set.bind(cmd)
	return cmd
}
