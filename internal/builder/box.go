package builder

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
	"pinwheel/internal/tree"
)

// box is the folder of one build:
//
//	box/work       the build's own, all that it can write: home, tmp, out
//	box/etc        ours: passwd, group, certificates.pem, constraints.txt
//
// and the way to start programs in it.
type box struct {
	dir    string
	root   string // the folder whose userland the build sees
	mode   Mode
	user   proc.User
	python pip.Python
	bundle string   // the certificates' file in box/etc, "" for none
	mark   string   // an environment entry that only this build's processes have
	extra  []string // more of the environment, by a recipe

	out *wayOut // to the network; nil: there is none, nor the helper

	known  *Known // of the helper; nil: nothing
	recipe bool   // it has a recipe's environment

	constraints []string // on what the build requires, by a recipe

	// The kernel or an old bwrap may not know how to forbid further user
	// namespaces; then the rest of the fence must do.
	keepUserns bool
}

// openBox makes a fresh box, after removing what a crash may have left.
func openBox(b Build) (x *box, err error) {
	root, err := b.openRoot()
	if err != nil {
		return nil, err
	}
	x = &box{dir: filepath.Join(b.Dir, "box"), root: root, mode: b.Mode, user: b.User, python: b.Python,
		mark: "PINWHEEL_BUILD=" + rand.Text(), extra: append([]string{b.epoch()}, b.Recipe.Environ()...), constraints: b.Recipe.Constraints,
		known: b.Known, recipe: len(b.Recipe.Environ()) > 0}
	if err := mkdir(b.Dir, 0o711); err != nil {
		return nil, fmt.Errorf("make the build folder: %w", err)
	}
	if err := tree.Remove(x.dir); err != nil {
		return nil, fmt.Errorf("remove an earlier build: %w", err)
	}
	if err := x.fill(); err != nil {
		return nil, errors.Join(fmt.Errorf("make the build folder: %w", err), x.remove())
	}
	return x, nil
}

func (x *box) fill() error {
	for _, d := range []string{"", "etc"} {
		if err := mkdir(filepath.Join(x.dir, d), 0o755); err != nil {
			return err
		}
	}
	for _, d := range []string{"work", "work/home", "work/tmp", "work/out"} {
		if err := mkdir(filepath.Join(x.dir, d), 0o700); err != nil {
			return err
		}
		if err := x.user.Chown(filepath.Join(x.dir, d)); err != nil {
			return err
		}
	}
	return x.writeEtc()
}

// constraintsFile is what pip reads a recipe's constraints from.
const constraintsFile = "constraints.txt"

// writeEtc writes a user database that tells nothing of the host.
func (x *box) writeEtc() (err error) {
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	if !x.user.IsZero() {
		uid, gid = x.user.UID, x.user.GID
	}
	passwd := fmt.Sprintf("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\nbuild:x:%d:%d:build:%s/home:/bin/sh\n", uid, gid, x.work())
	group := fmt.Sprintf("root:x:0:\nnogroup:x:65534:\nbuild:x:%d:\n", gid)
	files := map[string]string{"passwd": passwd, "group": group}
	if len(x.constraints) > 0 {
		files[constraintsFile] = strings.Join(x.constraints, "\n") + "\n"
	}
	for name, text := range files {
		path := filepath.Join(x.dir, "etc", name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
		if err := os.Chmod(path, 0o644); err != nil { // whatever the umask
			return err
		}
	}
	x.bundle, err = x.python.CopyBundle(filepath.Join(x.dir, "etc"))
	return err
}

// work is box/work as the build sees it.
func (x *box) work() string {
	if x.mode == Bwrap {
		return "/build"
	}
	return filepath.Join(x.dir, "work")
}

// env is the whole environment of the build.
func (x *box) env() []string {
	bundle, tmp := x.bundle, filepath.Join(x.work(), "tmp")
	if x.mode == Bwrap {
		tmp = "/tmp"
		if bundle != "" {
			bundle = "/etc/" + filepath.Base(bundle)
		}
	}
	// A recipe's own come first: of one name the last counts.
	env := append(slices.Clone(x.extra), withoutProxies(x.python.CleanEnv(filepath.Join(x.work(), "home"), bundle))...)
	if len(x.constraints) > 0 {
		path := filepath.Join(x.dir, "etc", constraintsFile)
		if x.mode == Bwrap {
			path = "/etc/" + constraintsFile
		}
		// By the environment, since pip hands that on to the pip that installs what
		// the build requires. The second is what that one reads since pip 25.3.
		env = append(env, "PIP_CONSTRAINT="+path, "PIP_BUILD_CONSTRAINT="+path)
	}
	env = append(append(env, unasked()...), x.out.env()...)
	// Unbuffered, so that the log of a build that is stopped is complete.
	return append(env,
		"TMPDIR="+tmp, "USER=build", "LOGNAME=build", "SHELL=/bin/sh", "PYTHONUNBUFFERED=1", x.mark)
}

func (x *box) remove() error {
	if err := tree.Remove(x.dir); err != nil {
		return fmt.Errorf("remove the build folder: %w", err)
	}
	return nil
}

// mkdir makes a folder with exactly this mode, whatever the umask; one that is
// there stays as it is.
func mkdir(path string, mode fs.FileMode) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(path, mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}
