package ingest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"pinwheel/internal/pypitest"
)

// last is when what a story ends with happens: when there is nothing else to do.
const last = 1 << 40

// writer makes a story up.
type writer struct {
	*story
	r      *rand.Rand
	teller pypitest.Teller
	at     int
	lost   bool            // pages may be missing that are there
	stale  map[string]bool // caches that were old once in this story
	reread bool            // something changes that is told nowhere
}

func storyNames() []string { return []string{"demo", "Demo.Two", "a-b_c", "solo"} }

// write makes up what happens. The same seed is the same story; how far the
// follower is when it happens is counted in steps, and so hangs on nothing but
// what it does.
func (s *story) write(ctx context.Context) error {
	r := rand.New(rand.NewPCG(s.seed, uint64(s.number)))
	w := &writer{story: s, r: r, stale: map[string]bool{}, lost: r.IntN(10) == 0}
	w.teller = pypitest.Teller{Pick: r.IntN, Names: storyNames(), Silent: r.IntN(8) == 0}
	w.reread = w.teller.Silent
	s.server.ChangelogPage([]int{50_000, 50_000, 1 + r.IntN(6)}[r.IntN(3)])
	if s.number == 0 {
		if err := w.begin(ctx); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w.at = s.steps
	for range 1 + r.IntN(12) {
		w.at += 1 + r.IntN(25)
		switch n := r.IntN(100); {
		case n < 68:
			w.tellSomething()
		case n < 76:
			w.kill()
		case n < 81:
			w.old()
		case n < 84:
			w.feature()
		default:
			w.trouble()
		}
	}
	w.finally(ctx)
	slices.SortStableFunc(s.left, func(a, b turn) int { return a.at - b.at })
	s.told = append(s.told, fmt.Sprintf("story %d:", s.number+1))
	return nil
}

// begin has the farm follow from the first serial on, or from today and know the
// rest by a walk over all names.
func (w *writer) begin(ctx context.Context) error {
	if w.r.IntN(3) == 0 {
		w.server.Clock(time.Now)
	}
	for range w.r.IntN(8) {
		line, err := w.teller.Next(w.server)
		if err != nil {
			return err
		}
		w.told = append(w.told, "before "+line)
	}
	if w.r.IntN(3) > 0 {
		return w.store.Settle(ctx, sinceSetting, "0")
	}
	w.told = append(w.told, "before: the farm begins here, and a backfill is asked for")
	now := w.server.Serial("")
	if err := w.store.Settle(ctx, sinceSetting, fmt.Sprint(now)); err != nil {
		return err
	}
	if err := w.store.SetSerial(ctx, now); err != nil {
		return err
	}
	_, err := w.store.BeginWalk(ctx, WalkBackfill)
	return err
}

func (w *writer) add(t turn) { w.left = append(w.left, t) }

func (w *writer) tellSomething() {
	w.add(turn{at: w.at, what: "tell ", do: func() (string, error) { return w.teller.Next(w.server) }})
}

func (w *writer) kill() {
	w.add(turn{at: w.at, what: "kill", cut: []cut{cutBefore, cutAfter}[w.r.IntN(2)]})
}

// old lets a cache give old pages for a while.
func (w *writer) old() {
	name := storyNames()[w.r.IntN(len(storyNames()))]
	times := 1 + w.r.IntN(3)
	if w.stale[name] {
		return
	}
	w.stale[name] = true
	w.add(turn{at: w.at, what: fmt.Sprint("stale ", name, " ", times), do: func() (string, error) {
		w.server.Stale(name, times)
		return "", nil
	}})
}

// feature takes something away from the index that not every index has.
func (w *writer) feature() {
	what := []string{"changelog", "changelog", "json", "details"}[w.r.IntN(4)]
	w.script(w.at, "lack "+what)
	w.script(w.at+20+w.r.IntN(100), "have "+what)
	if what != "changelog" {
		w.reread = true
	}
}

func (w *writer) script(at int, line string) {
	w.add(turn{at: at, what: line, do: func() (string, error) { return "", w.server.Tell(line) }})
}

// trouble breaks answers for a while.
func (w *writer) trouble() {
	pages := []string{"/simple/", "/simple/", "/simple/demo/", "/simple/solo/", "/pypi/", "/", "/pypi#", "/pypi#"}
	prefix := pages[w.r.IntN(len(pages))]
	f := w.fault(prefix)
	if f.Times = 1 + w.r.IntN(4); f.Trouble == pypitest.Silent || f.Trouble == pypitest.Stalled {
		f.Times = 1
	} else if w.r.IntN(6) == 0 {
		f.Times = 0
	}
	w.add(turn{at: w.at, what: fmt.Sprintf("break %s %+v", prefix, f), do: func() (string, error) {
		w.server.Break(prefix, f)
		return "", nil
	}})
	w.script(w.at+20+w.r.IntN(120), "mend "+prefix)
}

func (w *writer) fault(prefix string) pypitest.Fault {
	kinds := pypitest.Troubles()
	if strings.HasSuffix(prefix, "#") && w.r.IntN(2) == 0 {
		kinds = []pypitest.Trouble{pypitest.Refused, pypitest.Behind, pypitest.Repeated, pypitest.Shuffled}
	}
	f := pypitest.Fault{Trouble: kinds[w.r.IntN(len(kinds))], By: 1 + w.r.Int64N(10), Bytes: []int{20_000, 2_000_000}[w.r.IntN(2)]}
	if f.Trouble != pypitest.Status {
		return f
	}
	all := []int{500, 502, 503, 429, 403, 204, 404, 410}
	if !w.lost {
		all = all[:6]
	}
	f.Status = all[w.r.IntN(len(all))]
	f.RetryAfter = []string{"", "0", "3600", "soon"}[w.r.IntN(4)]
	return f
}

// finally has the farm see what no event told it.
func (w *writer) finally(ctx context.Context) {
	if w.r.IntN(2) == 0 {
		w.add(turn{at: last, what: "all quarantines are lifted", do: w.clear})
	}
	if w.lost { // who believed that it is gone is told by nobody that it is not
		w.add(turn{at: last, what: "a nightly walk", do: func() (string, error) {
			if _, err := w.store.BeginWalk(ctx, walkNightly); err != nil {
				return "", err
			}
			_, err := w.conn.Exec(ctx, `select pg_notify('farm_reading', '')`)
			return "", err
		}})
	}
	if w.reread {
		w.add(turn{at: last, what: "a month passes", do: func() (string, error) {
			for _, name := range storyNames() { // also what an earlier story made old
				w.server.Stale(name, 0) // no cache is so old
			}
			_, err := w.store.Age(ctx, 0, 1000)
			return "", err
		}})
	}
}

func (w *writer) clear() (string, error) {
	for name, p := range w.server.State().Projects {
		if p.Status == pypitest.StatusQuarantined {
			if err := w.server.ClearQuarantine(name); err != nil {
				return "", err
			}
		}
	}
	return "", nil
}
