package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Known is what one build has found out and the next need not ask again, each question
// being a sandbox or a process of its own: that the fence holds and how, that Python starts
// in it, the compiler's name, that the build's user can run the helper. It is of one root, its Python and
// one user. It is believed as long as the files that were asked are the same, never for more than
// ten minutes, and no longer when a build's way out did not open. The zero Known has
// found out nothing; a nil one keeps nothing.
type Known struct {
	mu     sync.Mutex
	before answer
	helper string // the program, as it was
}

// answer is what preflight found.
type answer struct {
	asked      string // the files that were asked, as they were
	until      time.Time
	compiler   string
	keepUserns bool
}

// believed bounds what can be wrong unnoticed: a compiler that changed behind a file
// which did not, a kernel that would fence better by now.
const believed = 10 * time.Minute

// preflight is box.preflight, or what that said before.
func (k *Known) preflight(ctx context.Context, x *box) (compiler string, err error) {
	// Without bwrap nothing would tell of a wrong answer; and a recipe may have
	// other tools found, or have them say something else.
	if k == nil || x.mode != Bwrap || x.recipe {
		return x.preflight(ctx, false)
	}
	if err := x.python.CanBuild(); err != nil {
		return "", x.here(err)
	}
	asked := x.asked() // before they are: what changes meanwhile is asked again
	k.mu.Lock()
	a := k.before
	k.mu.Unlock()
	if a.asked == asked && time.Now().Before(a.until) {
		x.keepUserns = a.keepUserns
		return a.compiler, nil
	}
	if compiler, err = x.preflight(ctx, false); err != nil {
		return "", err
	}
	k.mu.Lock()
	k.before = answer{asked, time.Now().Add(believed), compiler, x.keepUserns}
	k.mu.Unlock()
	return compiler, nil
}

// doubt is called with the error of a build. If its sandbox was never ready, all is
// asked again: for this build's error to name the remedy, and for the next.
func (k *Known) doubt(ctx context.Context, x *box, err error) error {
	if k == nil || !errors.Is(err, errUnopened) {
		return err
	}
	k.mu.Lock()
	k.before, k.helper = answer{}, ""
	k.mu.Unlock()
	if _, why := k.preflight(ctx, x); why != nil {
		return why
	}
	return err
}

// canRun is the box's user's CanExec of the helper.
func (k *Known) canRun(x *box, path string) error {
	if k == nil {
		return x.user.CanExec(path)
	}
	is := x.user.String() + " " + identity(path)
	k.mu.Lock()
	known := k.helper == is
	k.mu.Unlock()
	if known {
		return nil
	}
	if err := x.user.CanExec(path); err != nil {
		return err
	}
	k.mu.Lock()
	k.helper = is
	k.mu.Unlock()
	return nil
}

// asked tells apart what preflight has its answer from: bwrap, and in the root Python,
// the compilers that a build would find, and Python's headers.
func (x *box) asked() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s\n", x.root, x.user, x.python.Path)
	if bwrap, err := exec.LookPath("bwrap"); err == nil {
		b.WriteString(identity(bwrap))
	}
	if python, err := InRoot(x.root, x.python.Path); err == nil {
		b.WriteString(identity(python))
	}
	for _, name := range []string{"cc", x.python.CC} {
		for _, dir := range x.searchPath() {
			if real, err := InRoot(x.root, filepath.Join(dir, name)); err == nil {
				b.WriteString(identity(real))
				break // the shell finds it here, too
			}
		}
	}
	if header, err := InRoot(x.root, filepath.Join(x.python.Include, "Python.h")); err == nil {
		b.WriteString(identity(header))
	}
	return b.String()
}

// searchPath are the folders where a build finds programs.
func (x *box) searchPath() []string {
	for _, entry := range x.python.CleanEnv("", "") {
		if path, ok := strings.CutPrefix(entry, "PATH="); ok {
			return filepath.SplitList(path)
		}
	}
	return nil
}

// identity is a line that is another when the file is: replaced, written to, or with
// other rights. "" for one that is not there.
func identity(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s %d %d %d %d.%09d\n", path, st.Dev, st.Ino, st.Size, st.Ctim.Sec, st.Ctim.Nsec)
}
