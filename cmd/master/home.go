package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/depot"
	"pinwheel/internal/embedpg"
	"pinwheel/internal/proc"
	"pinwheel/internal/store"
)

// home is a farm's state directory with its database, opened either as the one
// daemon or, beside it, for a short command.
type home struct {
	Store *store.Store
	set   settings
	lock  *os.File        // of the daemon
	pg    *embedpg.Server // when we run it
	trace store.Tracer    // of the daemon; nil: none
}

// lockHome takes the state for the daemon, which then opens it.
func lockHome(set settings) (*home, error) {
	lock, err := lockState(set.StateDir)
	if err != nil {
		return nil, err
	}
	return &home{set: set, lock: lock}, nil
}

// open starts the embedded database unless there is an external one, and migrates
// the embedded. One that somebody else runs will not do: the daemon owns its own.
func (h *home) open(ctx context.Context, log zerolog.Logger) (err error) {
	dsn := h.set.DatabaseURL
	if dsn == "" {
		if err = h.bootPostgres(ctx, log); err != nil {
			return err
		}
		dsn = h.pg.URL()
		if _, _, err = store.Migrate(ctx, dsn); err != nil {
			return err
		}
	}
	h.Store, err = openStore(ctx, dsn, h.trace)
	return err
}

// visitHome opens the state for a short command: a running daemon's database,
// else the embedded one, started for the command's own time. Only with create is
// one made that is not there.
func visitHome(ctx context.Context, set settings, create bool, log zerolog.Logger) (_ *home, err error) {
	h := &home{set: set.fill()}
	defer func() {
		if err != nil {
			h.Close()
		}
	}()
	dsn, err := h.database(ctx, log, create)
	if err != nil {
		return nil, err
	}
	if h.pg != nil { // nobody else can: it is ours alone until we close it
		if _, _, err = store.Migrate(ctx, dsn); err != nil {
			return nil, err
		}
	}
	h.Store, err = openStore(ctx, dsn, nil)
	return h, err
}

// Authority opens the farm's keys, or makes them. With an external database
// nobody has looked at the state directory before.
func (h *home) Authority() (*bus.Authority, error) {
	if err := makeState(h.set.StateDir); err != nil {
		return nil, err
	}
	return bus.OpenAuthority(h.set.natsDir())
}

// Watch ends when the embedded database does, which nothing here can mend.
func (h *home) Watch(ctx context.Context) error {
	if h.pg == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-h.pg.Done():
		return fmt.Errorf("the embedded Postgres ended: %w", h.pg.Err())
	}
}

// Close ends what was opened here.
func (h *home) Close() {
	if h.Store != nil {
		h.Store.Close()
	}
	if h.pg != nil {
		h.pg.Close()
	}
	if h.lock != nil {
		_ = proc.Unlock(h.lock) // at worst our end frees it
	}
}

// depotForCollect gives the depot the shape that collect wants.
type depotForCollect struct{ *depot.Local }

// Reader opens a file of the depot.
func (d depotForCollect) Reader(sha256 string) (io.ReaderAt, io.Closer, error) {
	f, err := d.Open(sha256)
	if err != nil {
		return nil, nil, err
	}
	return f, f, nil
}
