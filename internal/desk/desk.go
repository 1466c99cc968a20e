// Package desk answers what monitors and operators ask over the wire. Input: their
// questions, each under a name that the server vouches for, and the rows and logs of
// the farm. Output: snapshots, pieces of logs, and what operators have done, with who
// in the audit trail.
//
// It owns what it has read a moment ago, so that many who look cost as much as one.
// After a crash whoever asked asks again: looking changes nothing, and a wish is one
// transaction that was committed or was not. It never speaks to a slave itself; orders
// are rows, which the daemon passes on as those of its commands.
package desk

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/depot"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// Logs are the stored logs by their SHA-256.
type Logs interface {
	Open(sha string) (depot.File, error)
}

// Skip is a wish not to build something.
type Skip struct {
	Package, Version, Target string
	Reason, Actor            string
}

// Config says what a desk works with.
type Config struct {
	Store   *store.Store
	Logs    Logs
	Skip    func(ctx context.Context, s Skip) (said string, audit int64, err error)
	Tell    func(bus.Event) // whoever watches; may be nil
	Version string          // of this program
	Log     zerolog.Logger
}

// Desk answers. Make it with New and register its Look, LogPart and Steer on the bus.
type Desk struct {
	cfg      Config
	status   aged[store.Status]
	glance   aged[store.Glance]
	failures aged[store.Failures]
}

// New makes a desk.
func New(cfg Config) *Desk {
	cfg.Log = cfg.Log.With().Str("part", "desk").Logger()
	return &Desk{cfg: cfg}
}

// admit looks whether who asks is still enrolled as what it says. The server ended the
// connections of who was revoked, if it is our own; one that others run learns late.
func (d *Desk) admit(ctx context.Context, who bus.Asker) error {
	row, err := d.cfg.Store.Slave(ctx, who.Name)
	switch {
	case errors.Is(err, farm.ErrNotFound):
		return fmt.Errorf("%s %s is not enrolled here; run `master enroll %s --role %s`", who.Role, who.Name, who.Name, who.Role)
	case err != nil:
		return err
	case row.Revoked:
		return fmt.Errorf("%s %s was revoked", who.Role, who.Name)
	case row.Role != who.Role:
		return fmt.Errorf("%s is enrolled as %s, not as %s", who.Name, row.Role, who.Role)
	}
	return nil
}

// refused keeps a trace of what people were told.
func (d *Desk) refused(who bus.Asker, what string, err error) string {
	d.cfg.Log.Warn().Err(err).Str("who", who.Name).Str("role", string(who.Role)).Msg(what + " refused")
	return err.Error()
}
