package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/store"
)

// Word is what a maintainer says of the building of a package.
type Word struct {
	Package  string   // normalized (PEP 503)
	Versions []string // in any spelling; none: all of them
	Target   string   // by name; empty: on every target
	Reason   string   // of a skip
	Actor    string
}

// Told is what came of a word.
type Told struct {
	Audit   int64 // by which it can be taken back
	Known   bool  // the farm has the package; else the word holds when it comes
	Skips   []store.Skip
	Moved   map[farm.State]int // jobs, by what they have become
	Aborted int64              // builds told to stop
	Built   int                // jobs meant that are built: their wheels stay
	Unknown []string           // versions that the farm does not have
}

// ErrNotSkipped says that nothing of what was named is skipped.
var ErrNotSkipped = errors.New("nothing of it is skipped")

// Skip keeps that something is not to be built, and plans the package's jobs by it
// in the same transaction: what is queued, waits or has failed is skipped, and a
// build under way is told to stop. What is built stays.
func (in *Ingest) Skip(ctx context.Context, w Word) (Told, error) {
	return in.say(ctx, w, store.ActionSkip, func(d *store.Agreement, env *Environment, known store.Known) error {
		for _, v := range versionsOf(w, known) {
			d.Skip = append(d.Skip, store.Skip{Package: w.Package, Version: v, Target: w.Target, Reason: w.Reason, Author: w.Actor})
		}
		for _, s := range env.Skips {
			if slices.ContainsFunc(d.Skip, func(k store.Skip) bool { return k.Version == s.Version && k.Target == s.Target }) {
				d.Unskip = append(d.Unskip, s)
			}
		}
		env.Skips = append(without(env.Skips, d.Unskip), d.Skip...)
		return nil
	})
}

// Unskip takes such words back: without versions all that were said of the package,
// else those of these versions; with a target only those of that target. The jobs
// are planned anew. ErrNotSkipped: there is none.
func (in *Ingest) Unskip(ctx context.Context, w Word) (Told, error) {
	return in.say(ctx, w, store.ActionUnskip, func(d *store.Agreement, env *Environment, known store.Known) error {
		versions := versionsOf(w, known)
		for _, s := range env.Skips {
			named := len(w.Versions) == 0 || slices.ContainsFunc(versions, func(v string) bool {
				return s.Version != "" && releaseKey(v) == releaseKey(s.Version) // it may have been said before the package was known
			})
			if named && (w.Target == "" || s.Target == w.Target) {
				d.Unskip = append(d.Unskip, s)
			}
		}
		if len(d.Unskip) == 0 {
			return notSkipped(env.Skips)
		}
		env.Skips = without(env.Skips, d.Unskip)
		return nil
	})
}

// notSkipped names what is skipped, since the one who asked may have meant that.
func notSkipped(have []store.Skip) error {
	if len(have) == 0 {
		return ErrNotSkipped
	}
	s := have[0]
	what := s.Package
	if s.Version != "" {
		what += " " + s.Version
	}
	if s.Target != "" {
		what += " --target " + s.Target
	}
	return fmt.Errorf("%w, but `unskip %s` would take back what %s said: %s", ErrNotSkipped, what, s.Author, s.Reason)
}

// say plans by a word, and writes both. Who decides on what has changed meanwhile
// is told so, and decides again.
func (in *Ingest) say(ctx context.Context, w Word, action string,
	by func(*store.Agreement, *Environment, store.Known) error) (Told, error) {
	for range addTries {
		known, env, err := in.look(ctx, w.Package)
		if err != nil {
			return Told{}, err
		}
		var said store.Agreement
		if err := by(&said, &env, known); err != nil {
			return Told{}, err
		}
		// What the farm does not know, it does not come to know by this.
		a := store.Agreement{Known: known, Gone: true}
		if known.ID != 0 {
			a = agree(known, nil, env, known.Followed)
		}
		a.Actor, a.Action, a.Skip, a.Unskip = w.Actor, action, said.Skip, said.Unskip
		done, err := in.cfg.Store.Agree(ctx, []store.Agreement{a}, nil)
		if err != nil {
			return Told{}, err
		}
		if len(done.Changed) > 0 {
			continue
		}
		t := Told{Audit: done.Audit, Known: known.ID != 0, Moved: a.Moves(), Aborted: done.Aborted, Skips: said.Skip}
		if action == store.ActionUnskip {
			t.Skips = said.Unskip
		}
		t.meant(known, env, w)
		return t, nil
	}
	return Told{}, fmt.Errorf("%s %s: others changed its jobs %d times meanwhile; try again", action, w.Package, addTries)
}

// meant looks at what the word says of releases that are built, or not there.
func (t *Told) meant(known store.Known, env Environment, w Word) {
	targets := map[int64]string{}
	for _, row := range slices.Concat(env.Targets, env.Retired) {
		targets[row.ID] = row.Target.String()
	}
	versions := versionsOf(w, known)
	seen := map[string]bool{"": true}
	for _, r := range known.Releases {
		if seen[r.Version] = true; versions[0] != "" && !slices.Contains(versions, r.Version) {
			continue
		}
		for _, j := range r.Jobs {
			if j.State == farm.Built && (w.Target == "" || targets[j.Target] == w.Target) {
				t.Built++
			}
		}
	}
	for _, v := range versions {
		if !seen[v] {
			t.Unknown = append(t.Unknown, v)
		}
	}
}

// versionsOf are the versions as the farm writes them, or as PEP 440 does where it
// does not have them; one that is empty means all.
func versionsOf(w Word, known store.Known) []string {
	if len(w.Versions) == 0 {
		return []string{""}
	}
	var out []string
	for _, v := range w.Versions {
		key, name := releaseKey(v), v
		if parsed, err := pep.ParseVersion(v); err == nil {
			name = parsed.String()
		}
		for _, r := range known.Releases {
			if releaseKey(r.Version) == key || r.Raw == v {
				name = r.Version
			}
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// removals are the words of `remove` that an addition of these releases lifts: of
// the package as a whole, and of the releases themselves.
func removals(skips []store.Skip, named asks) (list []store.Skip) {
	wanted := named.releases()
	for _, s := range skips {
		if s.Removed && (s.Version == "" || wanted[releaseKey(s.Version)]) {
			list = append(list, s)
		}
	}
	return list
}

// without leaves some out.
func without(skips, these []store.Skip) []store.Skip {
	return slices.DeleteFunc(slices.Clone(skips), func(s store.Skip) bool { return slices.Contains(these, s) })
}
