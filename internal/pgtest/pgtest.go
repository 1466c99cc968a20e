// Package pgtest gives every test a Postgres database of its own.
//
// A package's TestMain calls Main; then New gives a migrated database, made from
// a template in a few milliseconds, and Empty one without a schema. Behind them
// is one server per test binary, started by the first test that asks: an
// embedded one without fsync, or the one that PINWHEEL_TEST_DATABASE_URL names,
// whose user must be allowed to create databases.
//
// It owns the embedded server's temporary folder and the databases that it
// makes, and removes them at the end. When a test binary is killed, the
// embedded server dies with it, and its folder goes when a later one starts; in
// an outside server the databases named pinwheel_test_… are left.
package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// shared is the binary's server. It is a package variable because testing hands
// nothing from TestMain to a test.
var shared = newServer()

// Main runs the tests and then ends the server, if any test asked for one. It
// does not return.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main for a TestMain that has more to end: it returns the exit code.
func Run(m *testing.M) int {
	shared.allow()
	code := m.Run()
	if err := shared.close(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	return code
}

// New returns the connection URL of a fresh database with the farm's schema,
// which is dropped, with all its sessions, when the test ends.
func New(t testing.TB) (dsn string) {
	t.Helper()
	template, err := shared.template()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return create(t, template)
}

// Empty returns the connection URL of a fresh database without any schema,
// which is dropped, with all its sessions, when the test ends.
func Empty(t testing.TB) (dsn string) {
	t.Helper()
	return create(t, "template1")
}

func create(t testing.TB, template string) string {
	t.Helper()
	name := freshName()
	if err := shared.admin("CREATE DATABASE " + name + " TEMPLATE " + template); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if err := shared.admin("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return shared.address(name)
}

// freshName is unique also among test binaries that share an outside server.
func freshName() string {
	return "pinwheel_test_" + strings.ToLower(rand.Text()[:16])
}

// execute runs one statement on a connection of its own: nothing is left open
// that a test for leaks would find.
func execute(ctx context.Context, url, statement string) error {
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect for %q: %w", statement, err)
	}
	defer db.Close(ctx)
	if _, err := db.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}
