package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/cli"
	"pinwheel/internal/store"
)

// checkDatabase refuses what cannot be a database's URL: no try would reach it.
func (s settings) checkDatabase() error {
	if s.DatabaseURL == "" {
		return nil
	}
	if err := store.CheckURL(s.DatabaseURL); err != nil {
		return cli.Usage("--database-url: %w", err)
	}
	return nil
}

// checkNATS refuses settings that are of no use without others, and a server that
// would be waited for in vain.
func (s settings) checkNATS() error {
	if s.NATSCreds != "" && s.NATSURL == "" {
		return cli.Usage("--nats-creds is for an external server: name it with --nats-url")
	}
	if s.NATSURL != "" {
		if err := bus.CheckURL(s.NATSURL); err != nil {
			return cli.Usage("--nats-url: %w", err)
		}
	}
	return nil
}

// masterEnd says as whom the master connects, and where to. An external server
// may come up after its master, as both do after a power cut. With credentials, the
// keys are elsewhere: made here, they would be taken for the farm's by whoever
// enrolls or revokes a slave.
func (h *home) masterEnd(log zerolog.Logger) (bus.Options, error) {
	set := h.set
	opts := bus.Options{URL: set.NATSURL, Label: "master", Log: log, Background: set.NATSURL != ""}
	if set.NATSCreds == "" {
		authority, err := h.Authority()
		if err == nil {
			opts.Creds, err = authority.MasterCreds()
		}
		return opts, err
	}
	var err error
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
