package embedpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// pidFile is what a server writes into postmaster.pid in its data folder.
type pidFile struct {
	pid   int
	ready bool // it takes connections
}

// parsePidFile reads the lines of postmaster.pid that matter here: the process
// number in the first, the status in the eighth. The server writes the file in
// steps, so a line that is not there yet is no error.
func parsePidFile(text string) (pidFile, bool) {
	lines := strings.Split(text, "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	// A standalone backend writes its number as a negative one.
	if err != nil || pid == 0 {
		return pidFile{}, false
	}
	ready := len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready"
	return pidFile{pid: max(pid, -pid), ready: ready}, true
}

func readPidFile(data string) (pidFile, bool) {
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return pidFile{}, false
	}
	return parsePidFile(string(text))
}

// awaitOrphans waits until nothing of an earlier server works on the data any
// more. The lock is ours, so what is left is dying with its killed master, or
// somebody started it by hand; that is an error after the patience.
func awaitOrphans(ctx context.Context, data string, patience time.Duration) error {
	left, ok := readPidFile(data)
	if !ok {
		return nil // a server removes the file as its last act
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		pid, err := userOf(data)
		if err != nil {
			return err
		}
		if pid == 0 {
			return clearReused(data, left.pid)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s to be free: process %d still works on it; end it with kill -INT: %w", data, pid, ctx.Err())
		}
	}
}

// userOf returns a process whose working folder is the data folder, as it is
// for every process of a Postgres server, or 0.
func userOf(data string) (int, error) {
	want, err := os.Stat(data)
	if err != nil {
		return 0, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		// Processes end while we look, and other people's are closed to us.
		cwd, err := os.Stat(filepath.Join("/proc", e.Name(), "cwd"))
		if err == nil && os.SameFile(cwd, want) {
			return pid, nil
		}
	}
	return 0, nil
}

// clearReused removes postmaster.pid if its process number belongs to some
// other program by now: Postgres would take that for a running server. With a
// number that is free Postgres clears the file, and what it names, itself.
func clearReused(data string, pid int) error {
	if unix.Kill(pid, 0) != nil {
		return nil
	}
	err := os.Remove(filepath.Join(data, "postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
