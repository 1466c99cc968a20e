package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/rs/zerolog"

	"pinwheel/internal/agent"
	"pinwheel/internal/builder"
	"pinwheel/internal/cli"
	"pinwheel/internal/config"
	"pinwheel/internal/farm"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
)

// wanted is one target as its operator names it.
type wanted struct {
	root, python string      // empty: the machine's own; the first that works
	target       farm.Target // zero: whatever its Python builds for
}

// targetList is the setting of them.
type targetList = config.TableList[wanted]

func newTargetList() targetList { return targetList{Read: readWanted, Write: wanted.String} }

// readWanted reads a [[target]] of the file, or --target.
func readWanted(table map[string]string) (w wanted, err error) {
	for key, value := range table {
		switch key {
		case "root":
			w.root = value
		case "python":
			w.python = value
		case "target":
			w.target, err = farm.ParseTarget(value)
		default:
			err = fmt.Errorf("unknown key %q; there are root, python, target", key)
		}
		if err != nil {
			return wanted{}, err
		}
	}
	return w, checkRoot(w.root)
}

func checkRoot(root string) error {
	if root != "" && !filepath.IsAbs(root) {
		return fmt.Errorf("root %q: want an absolute path", root)
	}
	return nil
}

func (w wanted) String() string {
	var pairs []string
	for _, p := range [][2]string{{"root", w.root}, {"python", w.python}, {"target", w.target.String()}} {
		if p[1] != "" && p[1] != (farm.Target{}).String() {
			pairs = append(pairs, p[0]+"="+p[1])
		}
	}
	return strings.Join(pairs, ",")
}

// isHost says that it is the machine's own userland.
func (w wanted) isHost() bool { return w.root == "" || filepath.Clean(w.root) == builder.HostRoot }

// wanted lists the targets: those of the setting, else the machine's own.
func (s settings) wanted() ([]wanted, error) {
	if len(s.Targets.List) == 0 {
		return []wanted{{python: s.Python}}, nil
	}
	if s.Python != "" {
		return nil, cli.Usage("python is for the machine's own target: where targets are named, name each one's python with it")
	}
	return s.Targets.List, nil
}

// fits says that a target cannot be built for in this mode.
func (w wanted) fits(mode builder.Mode) error {
	if mode == builder.None && !w.isHost() {
		return cli.Usage("root %s: without bubblewrap there is only the root /", w.root)
	}
	return nil
}

// find asks the Python of a target what it is, and holds what was declared against
// it. What was passed over comes back with its reason, one line each.
func (w wanted) find(ctx context.Context, user proc.User) (t agent.Target, passed []string, err error) {
	t.Root = cmp.Or(w.root, builder.HostRoot)
	if w.isHost() {
		t.Python, passed, err = pip.Find(ctx, w.python, user)
	} else {
		t.Python, err = builder.Ask(ctx, w.root, w.python, user)
	}
	if err != nil {
		return t, passed, err
	}
	if !w.isHost() {
		// What pip on this machine is told to trust, it is told for a reason, such as a
		// company's own index.
		if host, _, err := pip.Find(ctx, "", user); err == nil && host.Bundle != "" {
			t.Python.Bundle = host.Bundle
		}
	}
	if err := t.Python.Declared(w.target); err != nil {
		return t, passed, fmt.Errorf("root %s: %w", t.Root, err)
	}
	return t, passed, nil
}

// serve settles the targets of this slave. One that cannot be built for, for want of a
// Python, a compiler or a root, is broken, and the others are served; that none can be is
// an error, as is a fence that does not hold, which nobody said is wanted so.
func (s settings) serve(ctx context.Context, mode builder.Mode, user proc.User, log zerolog.Logger) (served []agent.Target, broken []agent.Broken, err error) {
	list, err := s.wanted()
	if err != nil {
		return nil, nil, err
	}
	for _, w := range list {
		if err := w.fits(mode); err != nil {
			return nil, nil, err
		}
	}
	var found []agent.Target
	var tried []finding
	for _, w := range list {
		t, err := findTarget(ctx, w, user, log)
		tried = append(tried, at(w.root, w.found(t, err)))
		if err != nil {
			broken = append(broken, agent.Broken{Root: t.Root, Err: err})
			continue
		}
		found = append(found, t)
	}
	if len(found) > 0 {
		if err := agent.CheckTargets(found, user); err != nil {
			return nil, nil, err
		}
		if err := fence(ctx, mode, user); err != nil {
			return nil, nil, err
		}
		tried = append(tried, fenced(mode, nil))
	}
	for _, t := range found {
		cc, err := toolchain(ctx, t, user, mode)
		tried = append(tried, at(t.Root, compiles(t, cc, err)))
		if err != nil {
			broken = append(broken, agent.Broken{Root: t.Root, Err: err})
			continue
		}
		served = append(served, t)
	}
	if len(served) == 0 || ctx.Err() != nil {
		return nil, nil, cmp.Or(ctx.Err(), broken[0].Err)
	}
	interview(log, tried)
	for _, b := range broken {
		log.Error().Err(b.Err).Str("root", b.Root).Msg("a target is not served until the next start after it is mended, the others are")
	}
	return served, broken, nil
}

// at is a finding about what is in a root.
func at(root string, f finding) finding {
	f.Root = cmp.Or(root, builder.HostRoot)
	return f
}

// findTarget asks a target's Python what it is; an error comes with its root. It says
// which interpreters were passed over, and why: it is rarely the one that the operator
// thinks of.
func findTarget(ctx context.Context, w wanted, user proc.User, log zerolog.Logger) (agent.Target, error) {
	t, passed, err := w.find(ctx, user)
	for _, p := range passed {
		log.Warn().Msg("passed over: " + p)
	}
	if err != nil {
		return t, err
	}
	log.Info().Str("root", t.Root).Str("python", t.Python.Path).Str("target", t.Python.Target().String()).Msg("builds with")
	return t, nil
}

// toolchain compiles and links an extension module for a target as a build would, in
// the sandbox if there is one, and returns the compiler's name for itself.
func toolchain(ctx context.Context, t agent.Target, user proc.User, mode builder.Mode) (string, error) {
	dir, err := proc.NewTempDir("pinwheel-doctor-", user)
	if err != nil {
		return "", err
	}
	defer dir.Remove()
	return builder.Check(ctx, builder.Build{Dir: filepath.Join(dir.Path, "b"), Mode: mode, User: user, Root: t.Root, Python: t.Python})
}
