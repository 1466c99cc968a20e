// Package clitest runs the farm's programs as their users do: as processes of
// their own, started from scripts (testscript) that say what goes in and what
// must come out, waited for, interrupted, killed.
//
// Input: a folder of scripts and the programs that they start. Output: a subtest
// per script. It owns, per script, a Place: a folder that the users of builds and
// of the database can enter, with a temporary folder of its own. When a script
// ends, nothing may be left there and no process may know of it; that is what the
// programs promise, and every script checks it. Killed tests leave a folder
// pinwheel-cli-… behind, nothing else.
//
// It never sleeps: it waits for lines that programs write, and for their ends.
package clitest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"pinwheel/internal/proc"
)

// Place is where one script's programs live. Its path is short: sockets lie below.
type Place struct {
	Dir string // programs may keep state below it
	Tmp string // TMPDIR of the programs
	Bin string // programs that every user can start
}

// newPlace makes a place that goes with the test, after proof that the programs
// have left nothing in it.
func newPlace(t testing.TB) *Place {
	t.Helper()
	pg, err := proc.PostgresUser()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := proc.SharedTempDir("pinwheel-cli-", proc.BuildUser(), pg)
	if err != nil {
		t.Fatal(err)
	}
	p := &Place{Dir: dir, Tmp: filepath.Join(dir, "t"), Bin: filepath.Join(dir, "bin")}
	t.Cleanup(func() {
		if err := errors.Join(p.awaitEmpty(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	// For all users, whatever the umask: some scripts are somebody else.
	err = errors.Join(os.Mkdir(p.Tmp, 0o700), os.Chmod(p.Tmp, 0o777|os.ModeSticky), os.Mkdir(p.Bin, 0o755))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// install gives every user a program to start by that name: this test itself when
// path is empty, which is a hard link where it can be.
func (p *Place) install(name, path string) (err error) {
	if path == "" {
		if path, err = os.Executable(); err != nil {
			return err
		}
	}
	to := filepath.Join(p.Bin, name)
	if os.Link(path, to) == nil {
		return os.Chmod(to, 0o755)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("install %s: %w", name, err)
	}
	// A child that is started meanwhile would hold it open for writing, and then nobody could start it.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(to, body, 0o755)
}

// emptyWithin is how long what was killed may take to be gone.
const emptyWithin = time.Minute

// awaitEmpty says what is left.
func (p *Place) awaitEmpty() error {
	return eventually(func() error { return errors.Join(p.processes(), p.files()) })
}

// eventually looks again until there is no error, or the time is over. The kernel
// ends the children of a killed program soon after it, not before anybody hears of
// its end.
func eventually(look func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(emptyWithin)
	for {
		err := look()
		if err == nil {
			return nil
		}
		select {
		case <-late:
			return err
		case <-tick.C:
		}
	}
}

// files says what is left in the temporary folder.
func (p *Place) files() error {
	left, err := os.ReadDir(p.Tmp)
	if err != nil {
		return fmt.Errorf("look for what is left: %w", err)
	}
	var errs []error
	for _, e := range left {
		errs = append(errs, fmt.Errorf("left in the temporary folder: %s", e.Name()))
	}
	return errors.Join(errs...)
}

// processes says which live on.
func (p *Place) processes() error { return ProcessesOf(p.Dir) }

// ProcessesOf says which processes belong to a folder, but for this one. One does if
// the folder's path stands in its command line, environment, current folder or
// mounts: the last finds what runs in a sandbox, where folders have other names.
func ProcessesOf(folder string) error {
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	mark := []byte(folder + "/")
	var errs []error
	for _, dir := range all {
		if filepath.Base(dir) == strconv.Itoa(os.Getpid()) || !belongs(dir, mark) {
			continue
		}
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || len(line) == 0 {
			continue // gone meanwhile, or dead and not yet collected
		}
		line = bytes.ReplaceAll(line, []byte{0}, []byte(" "))
		errs = append(errs, fmt.Errorf("process %s lives on: %.300s", filepath.Base(dir), line))
	}
	return errors.Join(errs...)
}

func belongs(dir string, mark []byte) bool {
	for _, name := range []string{"cmdline", "environ", "mountinfo"} {
		// What cannot be read is another user's.
		if b, err := os.ReadFile(filepath.Join(dir, name)); err == nil && bytes.Contains(b, mark) {
			return true
		}
	}
	cwd, err := os.Readlink(filepath.Join(dir, "cwd"))
	return err == nil && bytes.HasPrefix([]byte(cwd+"/"), mark)
}
