package agent

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"pinwheel/internal/builder"
	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/linkage"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
)

// Target is one of the targets that a slave serves: a Python, and the userland that
// its builds see.
type Target struct {
	Root   string     // a folder; builder.HostRoot or empty: the machine's own
	Python pip.Python // as pip.Find or builder.Ask found it: its target is what is served
	Dpkg   string     // dpkg's database of what is installed there; empty: the root's own

	system *linkage.System // whose libraries the wheels need
	known  *builder.Known  // what its builds have found out
}

// Broken is a target that cannot be served as it is: its root, and why.
type Broken struct {
	Root string
	Err  error
}

// served is a target with what is known of it.
type served struct {
	Target
	debian *debian
}

func (t Target) root() string { return cmp.Or(t.Root, builder.HostRoot) }

// CheckTargets says why a slave whose builds run as user cannot serve these.
func CheckTargets(list []Target, user proc.User) error {
	if len(list) == 0 {
		return errors.New("start agent: no target is named")
	}
	if len(list) > bus.MaxTargets {
		return fmt.Errorf("%d targets, at most %d are allowed", len(list), bus.MaxTargets)
	}
	roots := map[farm.Target]string{}
	for _, t := range list {
		target, root := t.Python.Target(), t.root()
		if _, err := farm.ParseTarget(target.String()); err != nil {
			return fmt.Errorf("use Python %s: %w", t.Python.Path, err)
		}
		if other, ok := roots[target]; ok {
			return fmt.Errorf("the roots %s and %s are both for %s, and a slave serves a target once: leave one out", other, root, target)
		}
		roots[target] = root
		if root == builder.HostRoot { // another root's was run in there when it was asked
			if err := user.CanExec(t.Python.Path); err != nil {
				return fmt.Errorf("%w; name another Python with --python", err)
			}
		}
	}
	return nil
}

func serve(list []Target) (serves []served) {
	for _, t := range list {
		t.system, t.known = linkage.NewSystem(t.root()), &builder.Known{}
		serves = append(serves, served{t, &debian{path: cmp.Or(t.Dpkg, dpkgIn(t.root()))}})
	}
	return serves
}

// dpkgIn is where a root's database of installed packages is, or would be.
func dpkgIn(root string) string {
	if path, err := builder.InRoot(root, dpkgStatus); err == nil {
		return path
	}
	return filepath.Join(root, dpkgStatus)
}

// targets are what this slave asks jobs for.
func (a *Agent) targets() []farm.Target {
	var list []farm.Target
	for _, t := range a.serves {
		list = append(list, t.Python.Target())
	}
	return list
}

// serving finds the root and the Python of a lease's target.
func (a *Agent) serving(t farm.Target) (Target, bool) {
	for _, s := range a.serves {
		if s.Python.Target() == t {
			return s.Target, true
		}
	}
	return Target{}, false
}

// broken is what a hello says of those that are not served.
func (a *Agent) broken() []bus.Broken {
	var list []bus.Broken
	for _, b := range a.cfg.Broken {
		list = append(list, bus.Broken{Root: bus.CutText(b.Root, bus.MaxText), Why: bus.CutText(b.Err.Error(), bus.MaxText)})
	}
	return list
}

// doing is what this slave does, in words: also that it does not do all it should.
func (a *Agent) doing(f facts) string {
	text := f.doing()
	if len(a.cfg.Broken) == 0 {
		return text
	}
	var roots []string
	for _, b := range a.cfg.Broken {
		roots = append(roots, b.Root)
	}
	text += fmt.Sprintf(" (%d of %d targets not served: %s)", len(roots), len(roots)+len(a.serves), strings.Join(roots, ", "))
	return strings.ToValidUTF8(text[:min(len(text), bus.MaxText)], "")
}

// tell is what a hello says of the targets. What is installed for all of them stands
// in it once, for a hello has its limits, and so that a slave of one target says what
// it always said.
func (a *Agent) tell() (targets []bus.ServedTarget, everywhere []string) {
	var lists [][]string
	for _, t := range a.serves {
		targets = append(targets, bus.ServedTarget{Target: t.Python.Target(), Facts: t.Python.Facts()})
		lists = append(lists, t.debian.now())
	}
	everywhere, lists = common(lists)
	room := bus.MaxPackageBytes - sizeOf(everywhere)
	for i := range targets {
		targets[i].Packages = fitting(lists[i], room/len(targets))
	}
	return targets, everywhere
}

// common splits sorted lists into what is in all of them, and what else each has.
func common(lists [][]string) (all []string, rest [][]string) {
	count := map[string]int{}
	for _, list := range lists {
		for _, name := range list {
			count[name]++
		}
	}
	for i, list := range lists {
		var own []string
		for _, name := range list {
			switch {
			case count[name] < len(lists):
				own = append(own, name)
			case i == 0:
				all = append(all, name)
			}
		}
		rest = append(rest, own)
	}
	return all, rest
}

// fitting is as much of a sorted list as has at most so many bytes.
func fitting(list []string, room int) []string {
	for i, name := range list {
		if room -= len(name); room < 0 {
			return list[:i]
		}
	}
	return list
}

func sizeOf(list []string) int {
	size := 0
	for _, name := range list {
		size += len(name)
	}
	return size
}

// tellPackages says hello again when other Debian packages are installed than the
// master knows of: jobs may wait for them.
func (a *Agent) tellPackages() {
	for _, t := range a.serves {
		if t.debian.changed() {
			a.log.Info().Str("target", t.Python.Target().String()).Msg("other Debian packages are installed than before")
			a.lost()
			return
		}
	}
}
