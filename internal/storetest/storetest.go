// Package storetest gives a test of a stage the farm's database, with slaves and
// jobs, and short ways to change it and to look at it.
//
// Input: a migrated database per test, from pgtest, and the targets that the test
// wants. Output: rows, written by package store wherever it has a method for them
// and by SQL only where a test plays time or a fault. What goes wrong fails the
// test. It owns the connections that it opens, and ends them with the test.
package storetest

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/store"
)

// DB is one farm's database.
type DB struct {
	Store *store.Store
	t     testing.TB
	dsn   string
}

// New makes a database with these targets and two slaves, "a" and "b", whose keys
// are "key-a" and "key-b".
func New(t testing.TB, targets ...farm.Target) *DB {
	t.Helper()
	d := &DB{t: t, dsn: pgtest.New(t)}
	var err error
	d.Store, err = store.Open(t.Context(), d.dsn)
	d.Must(err)
	t.Cleanup(d.Store.Close)
	for _, target := range targets {
		d.Must(d.Store.AddTarget(t.Context(), target, farm.Facts{}, "test"))
	}
	for _, name := range []string{"a", "b"} {
		d.Must(d.Store.EnrollSlave(t.Context(), name, farm.RoleSlave, "key-"+name, "test"))
	}
	return d
}

// Must ends the test on an error.
func (d *DB) Must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// Connect opens a connection of the test's own, which it must close.
func (d *DB) Connect() *pgx.Conn {
	d.t.Helper()
	conn, err := pgx.Connect(d.t.Context(), d.dsn)
	d.Must(err)
	return conn
}

// Exec plays what no method of the store does: time that passes, or a fault.
func (d *DB) Exec(q string, args ...any) {
	d.t.Helper()
	conn := d.Connect()
	defer conn.Close(context.Background())
	_, err := conn.Exec(d.t.Context(), q, args...)
	d.Must(err)
}

// Absent makes the database refuse everybody, until the function is called.
func (d *DB) Absent() (back func()) {
	d.t.Helper()
	u, err := url.Parse(d.dsn)
	d.Must(err)
	name := strings.TrimPrefix(u.Path, "/")
	u.Path = "/postgres"
	admin, err := pgx.Connect(d.t.Context(), u.String())
	d.Must(err)
	d.t.Cleanup(func() { admin.Close(context.Background()) })
	do := func(q string) {
		_, err := admin.Exec(d.t.Context(), q)
		d.Must(err)
	}
	do(`alter database ` + name + ` allow_connections false`)
	do(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '` + name + `'`)
	return func() { do(`alter database ` + name + ` allow_connections true`) }
}

// Queue makes a job for version 1.0 of a package.
func (d *DB) Queue(name string, target farm.Target) {
	d.t.Helper()
	Release(d.t, d.Store, name, target, store.ReleaseFacts{Version: "1.0", Raw: "1.0",
		Sdist: farm.Sdist{Filename: name + "-1.0.tar.gz", URL: "http://index.example/" + name, SHA256: "abc", Size: 7}})
}

// Job is the one job of a package.
func (d *DB) Job(name string) store.JobRow {
	d.t.Helper()
	jobs, err := d.Store.Jobs(d.t.Context(), store.Selector{Package: name})
	d.Must(err)
	if len(jobs) != 1 {
		d.t.Fatalf("%d jobs of %s", len(jobs), name)
	}
	return jobs[0]
}

// Another is a second master's store on the same database.
func (d *DB) Another() *store.Store {
	d.t.Helper()
	s, err := store.Open(d.t.Context(), d.dsn)
	d.Must(err)
	d.t.Cleanup(s.Close)
	return s
}
