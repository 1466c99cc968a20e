package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
	"pinwheel/internal/storetest"
)

// set makes the recipe of a scope; nil takes it away.
func (w *world) set(scope string, r farm.Recipe) store.RecipesChanged {
	w.t.Helper()
	s := farm.ScopedRecipe{Recipe: r, Reason: "test"}
	scope, s.Target, _ = strings.Cut(scope, " on ")
	s.Package, s.Versions, _ = strings.Cut(scope, " ")
	s = s.Normalize()
	out, err := w.ChangeRecipes(w.t.Context(), "test", false, func(have []farm.ScopedRecipe) ([]farm.RecipeEdit, error) {
		if !r.IsZero() {
			return farm.SetRecipe(have, s), nil
		}
		at := slices.IndexFunc(have, func(h farm.ScopedRecipe) bool { return h.Scope == s.Scope })
		return []farm.RecipeEdit{{Before: &have[at]}}, nil
	})
	w.must(err)
	return out
}

// failedOf makes a job fail for a cause, however it stands.
func (w *world) failedOf(name, version string, cause farm.Cause) {
	w.t.Helper()
	w.must(w.exec(`update jobs set state = 'failed', cause = $1 where id = $2`, string(cause), w.state(name, version).ID))
}

// rows reads texts.
func (w *world) rows(sql string) ([]string, error) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.dsn)
	w.must(err)
	defer conn.Close(context.Background())
	rows, err := conn.Query(w.t.Context(), sql)
	w.must(err)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// needs reads what jobs need, "NAME VERSION: MEMORY PACKAGES", those that need
// nothing left out.
func (w *world) needs() []string {
	w.t.Helper()
	rows, err := w.rows(`
select p.name || ' ' || r.version || ': ' || j.needs_memory || ' ' || array_to_string(coalesce(j.needs_packages, '{}'), ' ')
from jobs j join releases r on r.id = j.release_id join packages p on p.id = r.package_id
where j.needs_memory > 0 or j.needs_packages is not null order by 1`)
	w.must(err)
	return rows
}

// states reads the states of all jobs, "NAME VERSION: STATE".
func (w *world) states() map[string]farm.State {
	w.t.Helper()
	jobs, err := w.Jobs(w.t.Context(), store.Selector{})
	w.must(err)
	out := map[string]farm.State{}
	for _, j := range jobs {
		out[j.Package+" "+j.Version] = j.State
	}
	return out
}

var gcc = farm.Recipe{Packages: []string{"gcc"}}

// TestRecipeRequeuesExactly: a change queues the failed jobs again that it is for
// and may help, and no others.
func TestRecipeRequeuesExactly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"numpy", "numpy-x", "other"} {
		w.add(name, "1.0", "2.0", "3.0", "4.0", "5.0")
		w.failedOf(name, "1.0", farm.MissingHeader)
		w.failedOf(name, "2.0", farm.MissingHeader)
		w.failedOf(name, "3.0", farm.NoSdist)
		w.must(w.exec(`update jobs set state = 'built' where id = $1`, w.state(name, "4.0").ID))
	}
	if l, _ := w.claim("a", "r"); l.Package+l.Version != "numpy5.0" {
		t.Fatalf("%+v", l)
	}
	before := w.states()
	for _, step := range []struct {
		name, scope string
		recipe      farm.Recipe
		want        store.RecipeEffect
		queued      []string // that failed before
	}{
		{"a name, a version", "numpy <2", gcc, store.RecipeEffect{Requeued: 1}, []string{"numpy 1.0"}},
		{"said again", "numpy <2", gcc, store.RecipeEffect{}, nil},
		{"a pattern, over what is said already", "num*", gcc,
			store.RecipeEffect{Requeued: 3, Queued: 1, Leased: 1, Kept: 2}, []string{"numpy 2.0", "numpy-x 1.0", "numpy-x 2.0"}},
		{"a target, and time that is no use", "other on " + target.String(), farm.Recipe{Timeout: time.Hour}, store.RecipeEffect{Queued: 1, Kept: 3}, nil},
		{"a package that is not there", "nothing", gcc, store.RecipeEffect{}, nil},
	} {
		done := w.set(step.scope, step.recipe)
		if diff := cmp.Diff(step.want, done.RecipeEffect); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
		for _, job := range step.queued {
			before[job] = farm.Queued
		}
		if diff := cmp.Diff(before, w.states()); diff != "" {
			t.Errorf("%s: states (-want +got):\n%s", step.name, diff)
		}
	}
}

// TestRecipeForWhatWaits: a build that waits for what it requires, and for what took
// too long twice, may go another way.
func TestRecipeForWhatWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("numpy", "1.0", "2.0", "3.0")
	w.must(w.exec(`update jobs set state = 'waiting', why = 'requirement', reason = 'x', waits_package = 'cython' where id = $1`, w.state("numpy", "1.0").ID))
	w.must(w.exec(`update jobs set state = 'waiting', why = 'lower-target', reason = 'x' where id = $1`, w.state("numpy", "2.0").ID))
	w.failedOf("numpy", "3.0", farm.Timeout)
	w.must(w.exec(`update jobs set timeouts = 2, time_limit = '3h', priority = 70 where id = $1`, w.state("numpy", "3.0").ID))
	if done := w.set("numpy", farm.Recipe{Timeout: 4 * time.Hour}); done.RecipeEffect != (store.RecipeEffect{Requeued: 1, Queued: 2}) {
		t.Errorf("more time: %+v", done.RecipeEffect)
	}
	if done := w.set("numpy", farm.Recipe{PipOptions: []string{"--no-build-isolation"}}); done.RecipeEffect != (store.RecipeEffect{Requeued: 1, Queued: 2}) {
		t.Errorf("an option: %+v", done.RecipeEffect)
	}
	want := map[string]farm.State{"numpy 1.0": farm.Queued, "numpy 2.0": farm.Waiting, "numpy 3.0": farm.Queued}
	if diff := cmp.Diff(want, w.states()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if j := w.state("numpy", "3.0"); j.Priority != farm.PriorityWanted {
		t.Errorf("%+v", j)
	}
}

// TestRecipeLeavesWhatIsHeldBack: what the upstream holds back is not built for the
// sake of a recipe; what it needs is right all the same.
func TestRecipeLeavesWhatIsHeldBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("numpy", "1.0")
	w.failedOf("numpy", "1.0", farm.MissingHeader)
	w.must(w.exec(`update packages set status = 'quarantined'`))
	if done := w.set("numpy", gcc); done.RecipeEffect != (store.RecipeEffect{Kept: 1}) {
		t.Errorf("%+v", done.RecipeEffect)
	}
	if diff := cmp.Diff([]string{"numpy 1.0: 0 gcc"}, w.needs()); diff != "" || w.state("numpy", "1.0").State != farm.Failed {
		t.Errorf("%+v (-want +got)\n%s", w.state("numpy", "1.0"), diff)
	}
}

// TestRecipeRemoved: what failed with a recipe is tried without it.
func TestRecipeRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("numpy", "1.0")
	w.set("numpy", gcc)
	w.failedOf("numpy", "1.0", farm.CompilerError)
	if done := w.set("numpy", farm.Recipe{}); done.Requeued != 1 {
		t.Errorf("%+v", done)
	}
	if got := w.needs(); len(got) > 0 || w.state("numpy", "1.0").State != farm.Queued {
		t.Errorf("%q, %+v", got, w.state("numpy", "1.0"))
	}
	if list, err := w.Recipes(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("%v, %v", list, err)
	}
}

// TestJobsNeedWhatRecipesSay: those that there were, those that come later, and
// those that nobody builds for now.
func TestJobsNeedWhatRecipesSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("numpy", "1.0", "2.0", "3.0")
	w.must(w.exec(`update jobs set state = 'skipped', reason = 'x' where id = $1`, w.state("numpy", "1.0").ID))
	w.must(w.exec(`update jobs set state = 'built' where id = $1`, w.state("numpy", "2.0").ID))
	w.set("num*", farm.Recipe{Memory: 1 << 30, Packages: []string{"gcc"}})
	w.set("numpy >=3", farm.Recipe{Memory: 2 << 30, Packages: []string{"cmake"}})
	w.add("numpy", "4.0")
	w.add("numb", "1.0")
	w.add("other", "1.0")
	want := []string{"numb 1.0: 1073741824 gcc", "numpy 1.0: 1073741824 gcc", "numpy 3.0: 2147483648 cmake gcc", "numpy 4.0: 2147483648 cmake gcc"}
	if diff := cmp.Diff(want, w.needs()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	// What was learnt of memory stays, if the recipe does not ask for more.
	w.must(w.exec(`update jobs set needs_memory = $2 where id = $1`, w.state("numb", "1.0").ID, int64(4<<30)))
	w.set("numpy >=3", farm.Recipe{})
	w.set("num*", farm.Recipe{Jobs: 1})
	if diff := cmp.Diff([]string{"numb 1.0: 4294967296 "}, w.needs()); diff != "" {
		t.Errorf("without: (-want +got)\n%s", diff)
	}
}

// TestJobsAreNotMadeByOldRecipes: who agrees with the upstream while recipes change
// is before the change or behind it.
func TestJobsAreNotMadeByOldRecipes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("numpy", "0.1")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 20 {
			storetest.Release(t, w.Store, "numpy", target, store.ReleaseFacts{Version: fmt.Sprint("1.", i), Raw: fmt.Sprint("1.", i)})
		}
	}()
	last := farm.Recipe{}
	for i := range 20 {
		last = farm.Recipe{Memory: int64(i+1) << 30}
		w.set("numpy", last)
	}
	<-done
	for _, n := range w.needs() {
		if !strings.HasSuffix(n, fmt.Sprintf(": %d ", last.Memory)) {
			t.Errorf("%s, want %d", n, last.Memory)
		}
	}
}

// TestLeaseHasTheRecipe: that of now, also for a request that is put again.
func TestLeaseHasTheRecipe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("numpy", "1.0", "2.0")
	l, _ := w.claim("a", "r1")
	if !l.Recipe.IsZero() || l.Recipe.From != nil {
		t.Errorf("%+v", l.Recipe)
	}
	w.set("*", farm.Recipe{Env: map[string]string{"A": "1"}, Jobs: 2})
	w.set("numpy", farm.Recipe{Timeout: 2 * time.Hour, PipOptions: []string{"--use-pep517"}})
	want := farm.Recipe{Env: map[string]string{"A": "1"}, Jobs: 2, Timeout: 2 * time.Hour, PipOptions: []string{"--use-pep517"}, From: []string{"*", "numpy"}}
	for _, request := range []string{"r1", "r2", "r2"} {
		l, ok := w.claim("a", request)
		if diff := cmp.Diff(want, l.Recipe); diff != "" || !ok {
			t.Errorf("%s: %v (-want +got)\n%s", request, ok, diff)
		}
	}
}

// TestDryRunChangesNothing, and says the same as the change itself.
func TestDryRunChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("numpy", "1.0", "2.0")
	w.failedOf("numpy", "1.0", farm.MissingHeader)
	before := w.states()
	edit := func(have []farm.ScopedRecipe) ([]farm.RecipeEdit, error) {
		return farm.SetRecipe(have, farm.ScopedRecipe{Scope: farm.Scope{Package: "numpy"}, Recipe: gcc, Reason: "r"}), nil
	}
	dry, err := w.ChangeRecipes(t.Context(), "me", true, edit)
	w.must(err)
	if diff := cmp.Diff(before, w.states()); diff != "" || len(w.needs()) > 0 || dry.Requeued != 1 || dry.Queued != 1 {
		t.Errorf("%+v %q\n%s", dry, w.needs(), diff)
	}
	done, err := w.ChangeRecipes(t.Context(), "me", false, edit)
	w.must(err)
	if done.RecipeEffect != dry.RecipeEffect || done.Changes[0].RecipeEffect != dry.Changes[0].RecipeEffect {
		t.Errorf("dry %+v, then %+v", dry, done)
	}
	list, err := w.Recipes(t.Context())
	w.must(err)
	if len(list) != 1 || list[0].Author != "me" || list[0].At.IsZero() {
		t.Errorf("%+v", list)
	}
	trail, err := w.rows(`select actor || ' ' || action || ' ' || subject || ' ' || (detail ->> 'requeued') || ' ' || jsonb_array_length(detail -> 'jobs')
from audit_trail where action = 'recipe'`)
	w.must(err)
	if diff := cmp.Diff([]string{"me recipe numpy 1 1"}, trail); diff != "" {
		t.Errorf("audit trail (-want +got)\n%s", diff)
	}
}

func TestRecipeForNoTarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.ChangeRecipes(t.Context(), "me", false, func(have []farm.ScopedRecipe) ([]farm.RecipeEdit, error) {
		return farm.SetRecipe(have, farm.ScopedRecipe{Scope: farm.Scope{Package: "a", Target: "cp39-linux_armv7l"}, Recipe: gcc, Reason: "r"}), nil
	})
	if err == nil || !strings.Contains(err.Error(), "cp39-linux_armv7l is not one of this farm's targets; `master target list`") {
		t.Error(err)
	}
}
