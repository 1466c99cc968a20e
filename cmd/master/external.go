package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/cli"
)

// checkNATS refuses settings that are of no use without others.
func (s settings) checkNATS() error {
	if s.NATSCreds != "" && s.NATSURL == "" {
		return cli.Usage("--nats-creds is for an external server: name it with --nats-url")
	}
	return nil
}

// masterEnd says as whom the master connects, and where to. An external server
// may come up after its master, as both do after a power cut.
func masterEnd(set settings, authority *bus.Authority, log zerolog.Logger) (bus.Options, error) {
	opts := bus.Options{URL: set.NATSURL, Label: "master", Log: log, Background: set.NATSURL != ""}
	var err error
	if set.NATSCreds == "" {
		opts.Creds, err = authority.MasterCreds()
		return opts, err
	}
	if opts.Creds, err = os.ReadFile(set.NATSCreds); err != nil {
		return opts, fmt.Errorf("read credentials: %w; `master nats-config --creds` prints some", err)
	}
	id, err := bus.ReadIdentity(opts.Creds)
	if err == nil && !id.IsMaster() {
		err = fmt.Errorf("they are of the %s %s", id.Role, id.Name)
	}
	if err != nil {
		return opts, fmt.Errorf("credentials %s: %w; `master nats-config --creds` prints a master's", set.NATSCreds, err)
	}
	return opts, nil
}

// unwelcome names the remedy where a server knows nothing of this farm.
func unwelcome(err error) error {
	if errors.Is(err, bus.ErrCredentials) {
		return fmt.Errorf("%w; or the server was not told of this farm: give it what `master nats-config` prints", err)
	}
	return err
}
