package dispatch

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

var (
	pythonForm   = regexp.MustCompile(`^[0-9]+(\.[0-9]+)+[a-z0-9+]*$`)
	glibcForm    = regexp.MustCompile(`^[0-9]+(\.[0-9]+)+$`)
	codenameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,40}$`)
)

// learn holds a slave's targets against the farm's, and fills in the facts that
// the farm did not have. It fills none when it refuses one. A retired target is
// none to refuse: the slave may have built something for it, and it may serve
// others; Next gives it no job of that one.
func (d *Dispatcher) learn(ctx context.Context, served []bus.ServedTarget) error {
	known, err := d.cfg.Store.AllTargets(ctx)
	if err != nil {
		return err
	}
	for _, s := range served {
		if !slices.ContainsFunc(known, func(r store.TargetRow) bool { return r.Target == s.Target }) {
			return fmt.Errorf("target %s is not one of this farm's; run `master target add %s`", s.Target, s.Target)
		}
		if err := checkPython(s); err != nil {
			return err
		}
	}
	for _, s := range served {
		if err := d.cfg.Store.FillTargetFacts(ctx, s.Target, plausible(s.Facts)); err != nil {
			return err
		}
	}
	return nil
}

// checkPython refuses a slave whose Python cannot be its target's: its wheels
// would all be rejected, one build after another.
func checkPython(s bus.ServedTarget) error {
	want, have := s.Target.Python(), s.Facts.Python
	if have == "" || have == want || strings.HasPrefix(have, want+".") {
		return nil
	}
	return fmt.Errorf("target %s has Python %s, this slave builds with %.40q; give it another --python", s.Target, want, have)
}

// plausible keeps what has the form of a fact. What is filled in once stays, for
// every slave of the target, and decides what is built; what is left out can
// still be filled in by the next one.
func plausible(f farm.Facts) farm.Facts {
	keep := func(form *regexp.Regexp, s string) string {
		if form.MatchString(s) {
			return s
		}
		return ""
	}
	return farm.Facts{
		Python: keep(pythonForm, f.Python), Glibc: keep(glibcForm, f.Glibc), Codename: keep(codenameForm, f.Codename),
	}
}
