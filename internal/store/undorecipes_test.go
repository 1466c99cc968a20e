package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// recipesAre are all, in words.
func (w *world) recipesAre() string {
	w.t.Helper()
	list, err := w.Recipes(w.t.Context())
	w.must(err)
	var words []string
	for _, r := range list {
		words = append(words, fmt.Sprintf("%s: %d MB %q, %s since %s", r.Scope, r.Memory>>20, r.Recipe.Packages, r.Author, r.At))
	}
	return strings.Join(words, "; ")
}

// TestUndoRecipes: a change that is taken back leaves recipes, jobs and what those need
// as they were, whatever the change was.
func TestUndoRecipes(t *testing.T) {
	t.Parallel()
	some := farm.Recipe{Packages: []string{"gcc"}, Memory: 1 << 30}
	for what, c := range map[string]struct{ before, after farm.Recipe }{
		"added":   {farm.Recipe{}, some},
		"changed": {some, farm.Recipe{Packages: []string{"cmake"}, Memory: 3 << 30}},
		"removed": {some, farm.Recipe{}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.add("numpy", "1.0", "2.0", "3.0", "4.0")
			w.failedOf("numpy", "1.0", farm.MissingHeader)
			if !c.before.IsZero() {
				w.set("numpy", c.before)
			}
			w.failedOf("numpy", "1.0", farm.MissingHeader)
			w.failedOf("numpy", "2.0", farm.OutOfMemory)
			w.must(w.exec(`update jobs set needs_memory = $1, learnt_memory = $1 where id = $2`, int64(8<<30), w.state("numpy", "2.0").ID))
			rows, recipes := w.jobRows(), w.recipesAre()

			done := w.set("numpy", c.after)
			if done.Audit == 0 || done.Requeued != 2 || w.recipesAre() == recipes {
				t.Fatalf("%+v", done)
			}
			undone, err := w.Undo(t.Context(), done.Audit, "bob", 10)
			w.must(err)
			if diff := cmp.Diff(rows, w.jobRows()); diff != "" || undone.Jobs != 2 || undone.Others != 0 || len(undone.Recipes) != 1 {
				t.Errorf("%+v; jobs (-before +after)\n%s", undone, diff)
			}
			if got := w.recipesAre(); got != recipes {
				t.Errorf("the recipes are %s, want %s", got, recipes)
			}
			if _, err := w.Undo(t.Context(), done.Audit, "bob", 10); !errors.Is(err, farm.ErrConflict) {
				t.Errorf("twice: %v", err)
			}
		})
	}
}

// TestUndoRecipesInTurn: what was changed again is taken back in turn, the newest first.
func TestUndoRecipesInTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.set("numpy", gcc)
	other := w.set("numpy >=2", gcc)
	second := w.set("numpy", farm.Recipe{Jobs: 1})
	_, err := w.Undo(t.Context(), first.Audit, "bob", 1)
	if want := fmt.Sprintf("test changed the recipe for numpy since (audit %d); take that back first", second.Audit); !errors.Is(err, farm.ErrConflict) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	for _, audit := range []int64{second.Audit, first.Audit, other.Audit} {
		if _, err := w.Undo(t.Context(), audit, "bob", 1); err != nil {
			t.Errorf("%d: %v", audit, err)
		}
	}
	if got := w.recipesAre(); got != "" {
		t.Error(got)
	}
	third := w.set("numpy", gcc)
	w.set("numpy", farm.Recipe{})
	if _, err := w.Undo(t.Context(), third.Audit, "bob", 1); !errors.Is(err, farm.ErrConflict) {
		t.Errorf("of one that is gone: %v", err)
	}
}

// TestUndoRecipesLeavesWhatMoved: a job that failed with the recipe stays as it is, and
// is counted, as are other failed ones that may end otherwise without it.
func TestUndoRecipesLeavesWhatMoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("numpy", "1.0", "2.0", "3.0")
	w.failedOf("numpy", "1.0", farm.MissingHeader)
	w.failedOf("numpy", "2.0", farm.MissingHeader)
	done := w.set("numpy", farm.Recipe{Env: map[string]string{"CFLAGS": "-O0"}})
	one := w.failAt("a", "one", farm.Failure{Cause: farm.CompilerError}, "")
	two := w.failAt("a", "two", farm.Failure{Cause: farm.CompilerError}, "")
	undone, err := w.Undo(t.Context(), done.Audit, "bob", 10)
	w.must(err)
	moved := map[string]int64{}
	for _, l := range []farm.Lease{one, two} {
		if l.Version != "3.0" { // which the change did not queue
			moved["failed"]++
		}
	}
	if diff := cmp.Diff(moved, undone.Moved); diff != "" || undone.Jobs != 2-moved["failed"] || undone.Others != 2 {
		t.Errorf("%+v\n%s", undone, diff)
	}
	if bad, err := w.Contradictions(t.Context()); err != nil || len(bad) > 0 {
		t.Errorf("%v, %v", bad, err)
	}
}

// TestRecipesKeepWhatWasLearnt: memory that a build taught is what its job needs again
// when a recipe that asked for more is taken back, or goes, whatever became of the job
// meanwhile; and whoever asks again has it forgotten, with or without a recipe above it.
func TestRecipesKeepWhatWasLearnt(t *testing.T) {
	t.Parallel()
	const gb = int64(1) << 30
	learns := map[string]func(w *world){
		"now":                    func(w *world) { w.must(w.exec(`update jobs set needs_memory = $1, learnt_memory = $1`, 2*gb)) },
		"by a program of before": func(w *world) { w.must(w.exec(`update jobs set needs_memory = $1`, 2*gb)) },
		"by it, beside less": func(w *world) {
			w.must(w.exec(`update jobs set needs_memory = $1, learnt_memory = $2`, 2*gb, gb))
		},
	}
	for what, c := range map[string]struct {
		cause farm.Cause // of the job's failure, which the recipe queues again; "": it waits in the queue
		back  func(w *world, audit int64)
		want  int64
	}{
		"undone, of a job that failed": {cause: farm.OutOfMemory, back: undone, want: 2 * gb},
		"undone, of a queued job":      {back: undone, want: 2 * gb},
		"removed":                      {back: func(w *world, _ int64) { w.set("numpy", farm.Recipe{}) }, want: 2 * gb},
		"less than learnt":             {back: func(w *world, _ int64) { w.set("numpy", farm.Recipe{Memory: gb}) }, want: 2 * gb},
		"asked again":                  {cause: farm.NoSdist, back: askedAgain, want: 4 * gb},
		"asked again, and undone": {cause: farm.NoSdist, want: 2 * gb, back: func(w *world, audit int64) {
			askedAgain(w, 0)
			undone(w, w.last())
			undone(w, audit)
		}},
		"asked again, and then undone": {cause: farm.NoSdist, want: 0, back: func(w *world, audit int64) {
			askedAgain(w, 0)
			undone(w, audit)
		}},
		"as much as learnt": {want: 2 * gb, back: func(w *world, audit int64) {
			undone(w, audit)
			w.set("numpy", farm.Recipe{Memory: 2 * gb})
			undone(w, w.last())
		}},
	} {
		for how, learn := range learns {
			t.Run(what+", learnt "+how, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.add("numpy", "1.0")
				if c.cause != "" {
					w.failedOf("numpy", "1.0", c.cause)
				}
				learn(w)
				done := w.set("numpy", farm.Recipe{Memory: 4 * gb})
				want := []string{}
				if c.want > 0 {
					want = []string{fmt.Sprintf("numpy 1.0: %d ", c.want)}
				}
				if diff := cmp.Diff([]string{fmt.Sprintf("numpy 1.0: %d ", 4*gb)}, w.needs()); diff != "" {
					t.Fatal(diff)
				}
				c.back(w, done.Audit)
				if diff := cmp.Diff(want, w.needs()); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func undone(w *world, audit int64) {
	w.t.Helper()
	_, err := w.Undo(w.t.Context(), audit, "bob", 1)
	w.must(err)
}

func askedAgain(w *world, _ int64) {
	w.t.Helper()
	_, err := w.Requeue(w.t.Context(), store.Requeue{Selector: store.Selector{Package: "numpy"}, Actor: "ada"})
	w.must(err)
}

// last is the newest number of the audit trail.
func (w *world) last() int64 {
	w.t.Helper()
	notes, err := w.History(w.t.Context(), 1, false)
	w.must(err)
	return notes[0].ID
}

// TestUndoOfOldRecipes: rows of before jobs were remembered are taken back as well.
func TestUndoOfOldRecipes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("numpy", "1.0")
	w.failedOf("numpy", "1.0", farm.MissingHeader)
	done := w.set("numpy", gcc)
	w.must(w.exec(`delete from moved_jobs`))
	undone, err := w.Undo(t.Context(), done.Audit, "bob", 10)
	w.must(err)
	if undone.Jobs != 0 || w.recipesAre() != "" || len(w.needs()) > 0 || w.state("numpy", "1.0").State != farm.Queued {
		t.Errorf("%+v", undone)
	}
}

// TestHistoryCounts: what is long is counted, unless it is wanted whole.
func TestHistoryCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("numpy", "1.0", "2.0")
	w.failedOf("numpy", "1.0", farm.MissingHeader)
	w.set("numpy", gcc)
	_, err := w.Requeue(t.Context(), store.Requeue{Selector: store.Selector{Package: "numpy"}, Actor: "ada"})
	w.must(err)
	w.must(w.exec(`insert into audit_trail (actor, action, subject, detail) values ('ada', 'requeue', 'long ago', '{"priority": 40}')`))
	short, err := w.History(t.Context(), 10, false)
	w.must(err)
	whole, err := w.History(t.Context(), 10, true)
	w.must(err)
	at := slices.IndexFunc(whole, func(n store.Note) bool { return n.Action == store.ActionRecipe })
	if ids, ok := whole[at].Detail["jobs"].([]any); !ok || len(ids) != 1 || short[at].Detail["jobs"] != 1.0 {
		t.Errorf("whole %+v\nshort %+v", whole[at], short[at])
	}
	if whole[0].Detail["priority"] != "backlog" {
		t.Errorf("%+v", whole[0])
	}
	enrolled := slices.IndexFunc(whole, func(n store.Note) bool {
		return n.Action == store.ActionEnroll && n.Subject == "a" && n.Actor == "test" && n.Detail["role"] == "slave"
	})
	if enrolled < 0 || time.Since(whole[enrolled].At) > time.Hour {
		t.Errorf("nobody enrolled a: %+v", whole)
	}
}

// TestRequeueForgetsMemory: who asks again may have mended what made a build run out of
// memory; a recipe's word stays, and undo knows what was learnt.
func TestRequeueForgetsMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"learnt", "more", "said"} {
		w.add(name, "1.0")
	}
	w.set("more", farm.Recipe{Memory: 1 << 30})
	w.set("said", farm.Recipe{Memory: 1 << 30})
	for _, name := range []string{"learnt", "more", "said"} {
		w.failedOf(name, "1.0", farm.OutOfMemory)
	}
	w.must(w.exec(`update jobs set needs_memory = $1, learnt_memory = $1 where id = any($2)`, int64(4<<30),
		[]int64{w.state("learnt", "1.0").ID, w.state("more", "1.0").ID}))
	before := w.jobRows()
	wish := store.Requeue{Selector: store.Selector{Failed: true}, Actor: "ada", DryRun: true}
	dry, err := w.Requeue(t.Context(), wish)
	w.must(err)
	wish.DryRun = false
	done, err := w.Requeue(t.Context(), wish)
	w.must(err)
	want := []string{fmt.Sprintf("more 1.0: %d ", 1<<30), fmt.Sprintf("said 1.0: %d ", 1<<30)}
	if diff := cmp.Diff(want, w.needs()); diff != "" || dry.Forgot != 2 || done.Forgot != 2 {
		t.Errorf("%d, dry %d\n%s", done.Forgot, dry.Forgot, diff)
	}
	// What recipes say meanwhile is not taken back with it.
	w.set("said", farm.Recipe{Memory: 2 << 30})
	_, err = w.Undo(t.Context(), done.Audit, "ada", 1)
	w.must(err)
	after := w.jobRows()
	for _, name := range []string{"learnt", "more"} {
		key := name + " 1.0 " + target.String()
		if diff := cmp.Diff(before[key], after[key]); diff != "" {
			t.Error(diff)
		}
	}
	want = []string{fmt.Sprintf("learnt 1.0: %d ", int64(4<<30)), fmt.Sprintf("more 1.0: %d ", int64(4<<30)), fmt.Sprintf("said 1.0: %d ", int64(2<<30))}
	if diff := cmp.Diff(want, w.needs()); diff != "" {
		t.Error(diff)
	}
}
