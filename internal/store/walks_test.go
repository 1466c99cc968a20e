package store_test

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// list is the upstream's list of names, with an error at its end if it has one.
func list(err error, names ...store.NameSerial) iter.Seq2[store.NameSerial, error] {
	return func(yield func(store.NameSerial, error) bool) {
		for _, n := range names {
			if !yield(n, nil) {
				return
			}
		}
		if err != nil {
			yield(store.NameSerial{}, err)
		}
	}
}

func (w *world) walk(kind string) store.Walk {
	w.t.Helper()
	walk, err := w.BeginWalk(w.t.Context(), kind)
	w.must(err)
	return walk
}

// TestListNames: what the farm does not know, does not follow, or knows at another
// serial is to be read, and what the list lacks is to be read as gone.
func TestListNames(t *testing.T) {
	t.Parallel()
	byHand := func(w *world) store.Agreement {
		a := w.fresh("hand")
		a.Facts.Followed = false
		return a
	}
	names := []store.NameSerial{{Name: "same", Serial: 7}, {Name: "other", Serial: 8}, {Name: "hand", Serial: 7},
		{Name: "new", Serial: 9}, {Name: "new", Serial: 3}}
	read := func(name string, serial int64, gone bool) store.Reading {
		return store.Reading{Name: name, Urgency: farm.UrgencyWalk, Serial: serial, Gone: gone, Follow: true}
	}
	for what, c := range map[string]struct {
		serials bool
		want    []store.Reading
		listed  store.ListedNames
	}{
		"with serials": {true, []store.Reading{read("gone", 0, true), read("hand", 7, false), read("new", 9, false), read("other", 8, false)},
			store.ListedNames{Total: 4, Chosen: 3, Missing: 1}},
		"without": {false, []store.Reading{read("gone", 0, true), read("hand", 7, false), read("new", 9, false)},
			store.ListedNames{Total: 4, Chosen: 2, Missing: 1}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.agree(w.fresh("same"), w.fresh("other"), w.fresh("gone"), byHand(w))
			walk := w.walk("nightly")
			got, err := w.ListNames(t.Context(), c.serials, list(nil, names...), store.MissingLimit{})
			w.must(err)
			if again := w.walk("nightly"); again.ID != walk.ID || again.Listed != nil {
				t.Errorf("the walk before all is kept: %+v", again)
			}
			w.must(w.WalkListed(t.Context(), walk.ID, got))
			if diff := gocmp.Diff(c.listed, got); diff != "" {
				t.Error(diff)
			}
			rs := w.take(10)
			slices.SortFunc(rs, func(a, b store.Reading) int { return cmp.Compare(a.Name, b.Name) })
			if diff := gocmp.Diff(c.want, rs, cmpopts.IgnoreFields(store.Reading{}, "Since", "Due")); diff != "" {
				t.Error(diff)
			}
			again := w.walk("nightly")
			if again.ID != walk.ID || again.Listed == nil || again.Total != 4 || again.Chosen != int64(len(c.want)) {
				t.Errorf("the walk: %+v", again)
			}
		})
	}
}

// TestListNamesMeetsTheWorklist: a walk has nothing tried again that went wrong
// before, unless its list says something new of it.
func TestListNamesMeetsTheWorklist(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.announce(5, "known", "newer")
	for _, r := range w.take(10) {
		w.must(w.PutOff(t.Context(), r.Name, r.Revision, 1, time.Hour, "trouble"))
	}
	_, err := w.ListNames(t.Context(), true,
		list(nil, store.NameSerial{Name: "known", Serial: 5}, store.NameSerial{Name: "newer", Serial: 6}), store.MissingLimit{})
	w.must(err)
	rs := w.take(10)
	want := []store.Reading{{Name: "newer", Urgency: farm.UrgencyEvent, Serial: 6, Follow: true, Trouble: "trouble", Revision: 1}}
	if diff := gocmp.Diff(want, rs, cmpopts.IgnoreFields(store.Reading{}, "Since", "Due")); diff != "" {
		t.Error(diff)
	}
}

// TestListBesideEvents: what the changelog said last of a project is not undone by a
// list that is older.
func TestListBesideEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.fresh("anew"), w.fresh("removed"), w.fresh("again"))
	rows := []store.Reading{
		{Name: "anew", Urgency: farm.UrgencyEvent, Serial: 50, Follow: true},
		{Name: "removed", Urgency: farm.UrgencyEvent, Serial: 50, Follow: true, Gone: true},
		{Name: "again", Urgency: farm.UrgencyEvent, Serial: 50, Follow: true, Gone: true},
	}
	_, err := w.Announce(t.Context(), rows, 50)
	w.must(err)
	_, err = w.ListNames(t.Context(), true,
		list(nil, store.NameSerial{Name: "removed", Serial: 40}, store.NameSerial{Name: "again", Serial: 60}), store.MissingLimit{})
	w.must(err)
	rows[2].Serial, rows[2].Gone, rows[2].Revision = 60, false, 1
	got := w.take(10)
	byName := func(a, b store.Reading) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortFunc(rows, byName)
	slices.SortFunc(got, byName)
	if diff := gocmp.Diff(rows, got, cmpopts.IgnoreFields(store.Reading{}, "Since", "Due")); diff != "" {
		t.Error(diff)
	}
}

// TestListCutOff: nothing of a list is believed that ends with an error, wherever,
// and the connection that took it is clean for the next.
func TestListCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.fresh("known"))
	walk := w.walk("backfill")
	cut := errors.New("cut off")
	for _, n := range []int{0, 1, 20_000, 20_001} {
		if _, err := w.ListNames(t.Context(), true, list(cut, many(n)...), store.MissingLimit{}); !errors.Is(err, cut) {
			t.Errorf("after %d names: %v", n, err)
		}
		if left := w.listed(); len(left) > 0 {
			t.Fatalf("after %d names: %d are to be read", n, len(left))
		}
	}
	if again := w.walk("backfill"); again.ID != walk.ID || again.Listed != nil {
		t.Errorf("the walk: %+v, want it to be listed again", again)
	}
	if _, err := w.ListNames(t.Context(), true, list(nil, store.NameSerial{Name: "bad", Serial: 1}, store.NameSerial{Name: "\x00"}),
		store.MissingLimit{}); err == nil {
		t.Error("a name that the database refuses is taken")
	}
	got, err := w.ListNames(t.Context(), true, list(nil, many(45_000)...), store.MissingLimit{})
	w.must(err)
	if want := (store.ListedNames{Total: 45_000, Chosen: 45_000, Missing: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if n := len(w.listed()); n != 45_001 {
		t.Errorf("%d are to be read", n)
	}
}

func many(n int) []store.NameSerial {
	var out []store.NameSerial
	for i := range n {
		out = append(out, store.NameSerial{Name: fmt.Sprintf("p%d", i), Serial: int64(i)})
	}
	return out
}

// TestShortList: a list that lacks too many of what is known is not believed to
// show their end; new names in it are.
func TestShortList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var batch []store.Agreement
	for i := range 10 {
		batch = append(batch, w.fresh(fmt.Sprintf("known%d", i)))
	}
	w.agree(batch...)
	for _, c := range []struct {
		limit store.MissingLimit
		want  store.ListedNames
	}{
		{store.MissingLimit{Count: 9, Share: 0.5}, store.ListedNames{Total: 1, Chosen: 1, Refused: 10}},
		{store.MissingLimit{Count: 10, Share: 0.5}, store.ListedNames{Total: 1, Chosen: 1, Missing: 10}},
		{store.MissingLimit{Count: 9, Share: 1}, store.ListedNames{Total: 1, Chosen: 1, Missing: 10}},
		{store.MissingLimit{}, store.ListedNames{Total: 1, Chosen: 1, Missing: 10}},
	} {
		w.must(w.exec(`delete from reading`))
		got, err := w.ListNames(t.Context(), true, list(nil, store.NameSerial{Name: "new", Serial: 1}), c.limit)
		w.must(err)
		if got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.limit, got, c.want)
		}
		if n := len(w.listed()); int64(n) != got.Chosen+got.Missing {
			t.Errorf("%+v: %d are to be read", c.limit, n)
		}
	}
}

func TestWalks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := w.walk("backfill")
	w.must(w.EndWalk(t.Context(), one.ID, "stopped"))
	two := w.walk("backfill")
	if two.ID == one.ID {
		t.Error("a walk that has ended is resumed")
	}
	w.walk("gap")
	all, err := w.Walks(t.Context(), 2)
	w.must(err)
	if len(all) != 2 || all[0].Kind != "gap" || all[1].ID != two.ID {
		t.Errorf("%+v", all)
	}
	if _, err := w.BeginWalk(t.Context(), "stroll"); err == nil {
		t.Error("a kind that there is not begins")
	}
}

// TestPlan: a plan is resumed where it stood, and begins anew when what it plans by
// has changed.
func TestPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.fresh("aa", "1.0"), w.fresh("bb", "1.0"))
	plan := func(by string) store.Walk {
		p, err := w.BeginPlan(t.Context(), by)
		w.must(err)
		return p
	}
	p := plan("x")
	known, err := w.KnownAfter(t.Context(), p.Place, 1)
	w.must(err)
	if len(known) != 1 || known[0].Name != "aa" || len(known[0].Releases) != 1 || p.Total != 2 {
		t.Fatalf("%+v of %+v", known, p)
	}
	w.must(w.PlanProgress(t.Context(), p.ID, known[0].ID, 1))
	if again := plan("x"); again.ID != p.ID || again.Place != known[0].ID || again.Chosen != 1 {
		t.Errorf("resumed: %+v", again)
	}
	if again := plan("y"); again.ID != p.ID || again.Place != 0 || again.Chosen != 0 || again.Fingerprint != "y" {
		t.Errorf("by something else: %+v", again)
	}
	rest, err := w.KnownAfter(t.Context(), known[0].ID, 5)
	w.must(err)
	if len(rest) != 1 || rest[0].Name != "bb" {
		t.Errorf("after the first: %+v", rest)
	}
	w.must(w.FinishPlan(t.Context(), p.ID, "y"))
	f, err := w.Following(t.Context())
	w.must(err)
	if f.Fingerprint != "y" || plan("y").ID == p.ID {
		t.Errorf("after the end: %+v", f)
	}
}

// TestListNamesSpells: known projects are shown as a list spells them that is not older
// than what is known; one that only normalizes tells nothing.
func TestListNamesSpells(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.fresh("newer"), w.fresh("older"), w.fresh("plain"), w.fresh("same"), w.fresh("twice"), w.fresh("untold"))
	w.must(w.exec(`update packages set display = 'Plain', spellings = '{plain,Plain}' where name = 'plain'`))
	before := w.known("same").Revision
	for range 2 {
		_, err := w.ListNames(t.Context(), true, list(nil,
			store.NameSerial{Name: "newer", Display: "NEWER", Serial: 7}, store.NameSerial{Name: "older", Display: "Older", Serial: 6},
			store.NameSerial{Name: "plain", Display: "plain", Serial: 9}, store.NameSerial{Name: "same", Display: "same", Serial: 7},
			store.NameSerial{Name: "twice", Display: "Twice", Serial: 7}, store.NameSerial{Name: "twice", Display: "tWice", Serial: 7},
			store.NameSerial{Name: "untold", Display: "Un_Told"}, store.NameSerial{Name: "new", Display: "NEW", Serial: 8},
		), store.MissingLimit{})
		w.must(err)
	}
	got := map[string][]string{}
	for _, name := range []string{"newer", "older", "plain", "same", "twice", "untold"} {
		k := w.known(name)
		got[name] = append([]string{k.Display}, k.Spellings...)
	}
	twice := got["twice"][0] // either, and always the same
	want := map[string][]string{
		"newer": {"NEWER", "newer", "NEWER"}, "older": {"older", "older"}, "plain": {"Plain", "plain", "Plain"}, "same": {"same", "same"},
		"twice": {twice, "twice", twice}, "untold": {"Un_Told", "untold", "Un_Told"},
	}
	if diff := gocmp.Diff(want, got); diff != "" || twice == "twice" {
		t.Error(diff)
	}
	if k := w.known("same"); k.Revision != before {
		t.Errorf("what is spelled as it was has changed: %+v", k)
	}
}

// TestListNamesSpellsPages: what a list spells anew is on the page too, where there is one.
func TestListNamesSpellsPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"demo", "same"} {
		w.add(name, "1.0")
		w.built("a", name, name+"-1.0-py3-none-any.whl")
	}
	w.add("bare", "1.0")
	w.must(w.exec(`update packages set spellings = array[display]`))
	w.forgetStale()
	_, err := w.ListNames(t.Context(), true, list(nil, store.NameSerial{Name: "bare", Display: "BARE"},
		store.NameSerial{Name: "demo", Display: "Demo"}, store.NameSerial{Name: "same", Display: "same"}), store.MissingLimit{})
	w.must(err)
	if got := w.staleNames(); !slices.Equal(got, []string{"demo"}) {
		t.Errorf("stale are %q, want demo, which alone has a page that says something else now", got)
	}
	page, err := w.Page(t.Context(), "demo")
	w.must(err)
	if page.Display != "Demo" {
		t.Errorf("its page shows %q", page.Display)
	}
}
