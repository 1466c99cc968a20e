package embedpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"pinwheel/internal/proc"
)

// database is the one that every cluster has from its birth.
const database = "pinwheel"

// unfinished begins the names of clusters that initdb is still writing.
const unfinished = "data.new-"

// cluster is the data of a server and who owns them.
type cluster struct {
	dir  string // holds data, and the unfinished ones
	user proc.User
}

func (c cluster) data() string { return filepath.Join(c.dir, "data") }

// version returns the major version that made the data, or 0 if there are
// none. A folder that holds something else is an error: it is not ours to
// touch.
func (c cluster) version() (int, error) {
	text, err := os.ReadFile(filepath.Join(c.data(), "PG_VERSION"))
	if err == nil {
		return parseDataVersion(c.data(), string(text))
	}
	if !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("read version of the data: %w", err)
	}
	entries, err := os.ReadDir(c.data())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("look for data: %w", err)
	}
	if len(entries) > 0 {
		return 0, fmt.Errorf("use %s: it is not empty and not a Postgres cluster (no PG_VERSION); move it away", c.data())
	}
	return 0, nil
}

func parseDataVersion(data, text string) (int, error) {
	// Before 10 there were two numbers, 9.6; the first will do to refuse it.
	first, _, _ := strings.Cut(strings.TrimSpace(text), ".")
	major, err := strconv.Atoi(first)
	if err != nil || major <= 0 {
		return 0, fmt.Errorf("read version of the data in %s: PG_VERSION says %.20q", data, text)
	}
	return major, nil
}

// checkOwner refuses data that the server's user could not open anyway, with
// the remedy.
func (c cluster) checkOwner() error {
	info, err := os.Stat(c.data())
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	want := c.user.UID
	if c.user.IsZero() {
		want = uint32(os.Geteuid())
	}
	if owner != want {
		return fmt.Errorf("use %s: it belongs to uid %d, and the server would run as %s; start as that user, or chown -R the folder", c.data(), owner, c.user)
	}
	return c.user.CanEnter(c.data())
}

// create makes the cluster with its database. All is done in a sibling that is
// renamed when it is whole and on disk: a crash before that leaves only an
// unfinished sibling, which the next create removes.
func (c cluster) create(ctx context.Context, bin binaries, durable bool) error {
	if err := removeAll(filepath.Join(c.dir, unfinished+"*")); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(c.dir, unfinished)
	if err != nil {
		return err
	}
	err = c.fill(ctx, bin, fresh, durable)
	if err == nil {
		// An empty data folder gives way; a full one makes the rename fail.
		err = os.Rename(fresh, c.data())
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	return syncFolder(c.dir)
}

// fill writes a cluster into the empty folder fresh. Locale C exists on every
// machine, and its order does not change with the next glibc, which would
// break every index on text.
func (c cluster) fill(ctx context.Context, bin binaries, fresh string, durable bool) error {
	if err := c.user.Chown(fresh); err != nil {
		return err
	}
	if err := c.user.CanEnter(fresh); err != nil {
		return err
	}
	// Synced once at the end instead of after each step.
	_, err := run(ctx, c.user, "", bin.initdb(), "-D", fresh, "-U", "postgres", "--auth=trust",
		"--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	if err != nil {
		return err
	}
	// Single-user mode: the database is there before the first connection.
	_, err = run(ctx, c.user, "CREATE DATABASE "+database+"\n", bin.postgres(), "--single",
		"-D", fresh, "-F", "-c", "exit_on_error=on", "postgres")
	if err != nil || !durable {
		return err
	}
	_, err = run(ctx, c.user, "", bin.initdb(), "--sync-only", "-D", fresh)
	return err
}
