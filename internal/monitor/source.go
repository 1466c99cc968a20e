package monitor

import (
	"context"
	"errors"
	"fmt"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// Source is a farm to look at: a real one over the wire, or an invented one.
type Source interface {
	// Snapshot, Log and Steer are those of bus.AskEnd.
	Snapshot(ctx context.Context) (bus.Snapshot, error)
	Log(ctx context.Context, build, offset int64) (bus.LogPart, error)
	Steer(ctx context.Context, m bus.Steer) (bus.Steered, error)
	// Events and Follow call f from another goroutine until stop, which waits for it.
	Events(f func(bus.Event)) (stop func(), err error)
	Follow(job int64, f func(bus.LogChunk)) (stop func(), err error)
	// Place says what is looked at, and as whom.
	Place() Place
}

// Place is what is looked at.
type Place struct {
	Where string // "farm.example:4222"
	Name  string
	Role  farm.Role
	Demo  bool // nothing of it is true
}

// Wire is a farm over its bus.
type Wire struct {
	conn  *bus.Conn
	where string
	bus.AskEnd
}

// NewWire looks at the farm by this connection.
func NewWire(conn *bus.Conn, where string) Wire {
	return Wire{conn: conn, where: where, AskEnd: conn.Ask()}
}

// Snapshot implements Source. Without a connection, why there is none says more than
// that nobody answers.
func (w Wire) Snapshot(ctx context.Context) (bus.Snapshot, error) {
	snap, err := w.AskEnd.Snapshot(ctx)
	if why := w.conn.Trouble(); why != nil && errors.Is(err, bus.ErrNobody) {
		err = fmt.Errorf("no connection: %w", why)
	}
	return snap, err
}

// Events implements Source.
func (w Wire) Events(f func(bus.Event)) (func(), error) { return w.conn.WatchEvents(f) }

// Follow implements Source.
func (w Wire) Follow(job int64, f func(bus.LogChunk)) (func(), error) {
	return w.conn.WatchLog("*", job, func(_ string, c bus.LogChunk) { f(c) })
}

// Place implements Source.
func (w Wire) Place() Place {
	id := w.conn.Identity()
	return Place{Where: w.where, Name: id.Name, Role: id.Role}
}
