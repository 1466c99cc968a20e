package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// takes claims the job of one package.
func (w *world) takes(name string) farm.Lease {
	w.t.Helper()
	w.must(w.exec(`update jobs set priority = case when package_id = (select id from packages where name = $1) then 11 else greatest(priority, 12) end
		where state = 'queued'`, name))
	s, err := store.Open(w.t.Context(), w.dsn) // without any head
	w.must(err)
	defer s.Close()
	l, ok, err := s.Claim(w.t.Context(), store.ClaimRequest{Slave: w.slaves["a"], Request: name + fmt.Sprint(w.requests()),
		Token: name + fmt.Sprint(w.requests()), Targets: []int64{w.targetID}, Length: 60e9})
	w.must(err)
	if !ok || l.Package != name {
		w.t.Fatalf("claimed %s, want %s", l.Package, name)
	}
	return l
}

// requests is the number of leases that there were.
func (w *world) requests() (n int) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.dsn)
	w.must(err)
	defer conn.Close(context.Background())
	w.must(conn.QueryRow(w.t.Context(), `select count(*) from builds`).Scan(&n))
	return n
}

// lacks fails a package's build for want of a requirement.
func (w *world) lacks(name, requirement string) {
	w.t.Helper()
	w.fails("a", w.takes(name), farm.BuildRequirement, requirement)
}

func (w *world) brings(name, version string) {
	w.t.Helper()
	l := w.takes(name)
	if l.Version != version {
		w.t.Fatalf("claimed %s %s, want %s", name, l.Version, version)
	}
	_, err := w.FinishBuilt(w.t.Context(), w.ending("a", l), w.wheel(fmt.Sprintf("%s-%s-py3-none-any.whl", name, version)))
	w.must(err)
}

// all are the states of all jobs: PACKAGE VERSION STATE CAUSE, and what it waits for.
func (w *world) all() string {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.dsn)
	w.must(err)
	defer conn.Close(context.Background())
	var out string
	w.must(conn.QueryRow(w.t.Context(), `
select string_agg(concat_ws(' ', p.name, r.version, j.state, nullif(j.cause, ''), nullif(j.waits_package || j.waits_requirement, '')), ', ' order by p.name, r.version)
from jobs j join releases r on r.id = j.release_id join packages p on p.id = r.package_id`).Scan(&out))
	return out
}

func (w *world) wantAll(want string) {
	w.t.Helper()
	if diff := cmp.Diff(strings.Split(want, ", "), strings.Split(w.all(), ", ")); diff != "" {
		w.t.Error(diff)
	}
	w.agrees()
}

// TestWaitsForARequirement: not yet is not never. The build waits, what it waits for
// is built soon, and the wheel that serves queues it.
func TestWaitsForARequirement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("numpy", "1.18", "1.19", "2.0")
	w.add("scipy", "1.0")
	w.lacks("scipy", "NumPy<2,>=1.19")
	w.wantAll("numpy 1.18 queued, numpy 1.19 queued, numpy 2.0 queued, scipy 1.0 waiting numpy<2,>=1.19")
	j := w.state("scipy", "1.0")
	if !strings.HasPrefix(j.Reason, "not yet: its build needs numpy<2,>=1.19") {
		t.Errorf("reason %q", j.Reason)
	}
	if !w.known("numpy").Wanted {
		t.Error("a package that a build waits for is not wanted")
	}
	w.brings("numpy", "2.0") // not that
	w.wantAll("numpy 1.18 queued, numpy 1.19 queued, numpy 2.0 built, scipy 1.0 waiting numpy<2,>=1.19")
	w.brings("numpy", "1.19")
	w.wantAll("numpy 1.18 queued, numpy 1.19 built, numpy 2.0 built, scipy 1.0 queued")
	if w.known("numpy").Wanted {
		t.Error("a package that nobody waits for any more is wanted")
	}
	w.brings("scipy", "1.0")
}

// TestWantedNoMore: who does not wait any more, for whatever reason, wants nothing.
func TestWantedNoMore(t *testing.T) {
	t.Parallel()
	for name, ends := range map[string]func(w *world){
		"a recipe":   func(w *world) { w.set("scipy", farm.Recipe{Env: map[string]string{"A": "b"}}) },
		"taken down": func(w *world) { w.removed("scipy", "1.0") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.add("numpy", "1.19")
			w.add("scipy", "1.0")
			w.lacks("scipy", "numpy")
			if !w.known("numpy").Wanted {
				t.Fatal("a package that a build waits for is not wanted")
			}
			ends(w)
			if w.known("numpy").Wanted {
				t.Error("it is still wanted")
			}
		})
	}
}

// TestWantedIsRaised, but for what took too long once.
func TestWantedIsRaised(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("numpy", "1.0", "1.1", "1.2", "3.0")
	w.add("scipy", "1.0")
	l := w.takes("scipy")
	w.must(w.exec(`update jobs j set priority = x.priority from releases r, (values ('1.0', 50), ('1.1', 70), ('1.2', 20), ('3.0', 60)) x (version, priority)
		where r.id = j.release_id and r.version = x.version and j.state = 'queued'`))
	w.fails("a", l, farm.BuildRequirement, "numpy<3")
	var got []string
	for _, v := range []string{"1.0", "1.1", "1.2", "3.0"} {
		got = append(got, fmt.Sprint(w.state("numpy", v).Priority))
	}
	if diff := cmp.Diff([]string{"30", "70", "20", "60"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestNever: nothing to wait for.
func TestNever(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		setup func(w *world)
		lacks string
	}{
		"unknown":         {func(*world) {}, "numpy"},
		"no requirement":  {func(w *world) { w.add("numpy", "1.0") }, "build requirements conflict"},
		"another version": {func(w *world) { w.add("numpy", "1.0") }, "numpy>1"},
		"failed":          {func(w *world) { w.add("numpy", "1.0"); w.fail(w.takes("numpy")) }, "numpy"},
		"there is one":    {func(w *world) { w.add("numpy", "0.9", "1.0"); w.brings("numpy", "1.0") }, "numpy"},
		"itself":          {func(*world) {}, "demo==1.0"},
		"on another target": {func(w *world) {
			w.add("numpy", "1.0")
			w.must(w.exec(`update jobs set target_id = $1 where target_id = $2`, w.second(), w.targetID))
		}, "numpy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.setup(w)
			w.must(w.exec(`update wheels set published_at = now() - interval '1 hour'`))
			w.add("demo", "1.0")
			w.lacks("demo", c.lacks)
			if j := w.state("demo", "1.0"); j.State != farm.Failed || j.Cause != string(farm.BuildRequirement) || j.Detail != c.lacks {
				t.Errorf("%s %s %q", j.State, j.Cause, j.Detail)
			}
			w.agrees()
		})
	}
}

// TestCameMeanwhile: the wheel was published while the build without it went on.
func TestCameMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("scipy", "1.0")
	l := w.takes("scipy")
	w.add("numpy", "1.0")
	w.brings("numpy", "1.0")
	w.fails("a", l, farm.BuildRequirement, "numpy==1.0")
	w.wantAll("numpy 1.0 built, scipy 1.0 queued")
}

// TestWhoWaitsDoesNotWaitForEver: when the last job that could bring it ends without
// a wheel, and when it goes in other ways.
func TestWhoWaitsDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("numpy", "1.0", "1.1")
	w.add("scipy", "1.0")
	w.add("pandas", "1.0")
	w.lacks("scipy", "numpy")
	w.lacks("pandas", "scipy")
	w.fail(w.takes("numpy"))
	w.wantAll("numpy 1.0 queued, numpy 1.1 failed compiler-error, pandas 1.0 waiting scipy, scipy 1.0 waiting numpy")
	w.fail(w.takes("numpy"))
	w.wantAll("numpy 1.0 failed compiler-error, numpy 1.1 failed compiler-error, pandas 1.0 failed build-requirement, scipy 1.0 failed build-requirement")
	if j := w.state("pandas", "1.0"); j.Detail != "scipy" || j.Hint != "no wheel of it is here, and no job that could bring one" {
		t.Errorf("%q %q", j.Detail, j.Hint)
	}
}

func TestWhatIsWaitedForMayBeLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("numpy", "1.0")
	w.add("scipy", "1.0")
	w.lacks("scipy", "numpy")
	w.must(w.exec(`update jobs set losses = $1 where state = 'queued'`, store.MaxLosses-1))
	w.takes("numpy")
	expire(w, farm.Lease{})
	w.wantAll("numpy 1.0 failed slave-lost, scipy 1.0 failed build-requirement")
}

// TestLookAfterWaiting sees what no report told: a release that was removed, and a
// wheel that came in another way.
func TestLookAfterWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("numpy", "1.0")
	w.add("cython", "1.0")
	w.add("scipy", "1.0")
	w.add("pandas", "1.0")
	w.lacks("scipy", "numpy")
	w.lacks("pandas", "cython")
	w.must(w.LookAfterWaiting(t.Context()))
	w.wantAll("cython 1.0 queued, numpy 1.0 queued, pandas 1.0 waiting cython, scipy 1.0 waiting numpy")
	_, err := w.Remove(t.Context(), "numpy", nil, "test")
	w.must(err)
	w.takes("cython")
	w.must(w.exec(`with n as (insert into published_names values ('cython-1.0-py3-none-any.whl', repeat('a', 64), 5) returning filename)
		insert into wheels (release_id, build_id, filename, sha256, size, metadata_sha256, metadata, tags)
		select r.id, b.id, n.filename, repeat('a', 64), 5, '', '', '{}' from n, releases r join packages p on p.id = r.package_id, builds b
		where p.name = 'cython' and b.outcome is null`))
	w.must(w.LookAfterWaiting(t.Context()))
	if got, want := w.all(), "cython 1.0 leased, pandas 1.0 queued, scipy 1.0 failed build-requirement"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestNoCycles: two that wait for each other, three, and one that waits for itself.
func TestNoCycles(t *testing.T) {
	t.Parallel()
	t.Run("two", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.add("aa", "1.0")
		w.add("bb", "1.0")
		w.lacks("aa", "bb")
		w.lacks("bb", "aa")
		w.wantAll("aa 1.0 failed build-requirement, bb 1.0 failed build-requirement")
	})
	t.Run("three", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		for _, name := range []string{"aa", "bb", "cc"} {
			w.add(name, "1.0")
		}
		w.lacks("aa", "bb")
		w.lacks("bb", "cc")
		w.wantAll("aa 1.0 waiting bb, bb 1.0 waiting cc, cc 1.0 queued")
		w.lacks("cc", "aa")
		w.wantAll("aa 1.0 failed build-requirement, bb 1.0 failed build-requirement, cc 1.0 failed build-requirement")
	})
	t.Run("with a way out", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.add("aa", "1.0")
		w.add("bb", "1.0", "2.0")
		w.lacks("aa", "bb")
		w.lacks("bb", "aa")
		w.wantAll("aa 1.0 waiting bb, bb 1.0 queued, bb 2.0 waiting aa")
		w.brings("bb", "1.0")
		w.wantAll("aa 1.0 queued, bb 1.0 built, bb 2.0 waiting aa")
		w.brings("aa", "1.0")
		w.wantAll("aa 1.0 built, bb 1.0 built, bb 2.0 queued")
	})
}

// TestWaitingRaces: two masters end jobs that wait for each other in one moment,
// again and again: nobody waits for ever.
func TestWaitingRaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stores := []*store.Store{w.Store, w.another()}
	for round := range 15 {
		a, b, c := fmt.Sprint("a", round), fmt.Sprint("b", round), fmt.Sprint("c", round)
		leases := map[string]farm.Lease{}
		for _, name := range []string{a, b, c} {
			w.add(name, "1.0")
		}
		for _, name := range []string{a, b, c} {
			leases[name] = w.takes(name)
		}
		var wg sync.WaitGroup
		for i, end := range []struct {
			name  string
			cause farm.Cause
			lacks string
		}{{a, farm.BuildRequirement, b}, {b, farm.BuildRequirement, []string{a, c}[round%2]}, {c, farm.CompilerError, ""}} {
			wg.Go(func() {
				e := w.ending("a", leases[end.name])
				e.Failure = farm.Failure{Cause: end.cause, Detail: end.lacks}
				if _, err := stores[i%2].FinishFailed(t.Context(), e); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, name := range []string{a, b, c} {
			if j := w.state(name, "1.0"); j.State != farm.Failed {
				t.Errorf("round %d: %s is %s (%s)", round, name, j.State, j.Reason)
			}
		}
	}
	w.agrees()
}

// TestWheelRaces: one begins to wait while the wheel for it comes.
func TestWheelRaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stores := []*store.Store{w.Store, w.another()}
	for round := range 15 {
		a, b := fmt.Sprint("a", round), fmt.Sprint("b", round)
		w.add(a, "1.0")
		w.add(b, "1.0")
		la, lb := w.takes(a), w.takes(b)
		var wg sync.WaitGroup
		wg.Go(func() {
			e := w.ending("a", la)
			e.Failure = farm.Failure{Cause: farm.BuildRequirement, Detail: b}
			if _, err := stores[0].FinishFailed(t.Context(), e); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := stores[1].FinishBuilt(t.Context(), w.ending("a", lb), w.wheel(b+"-1.0-py3-none-any.whl")); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		if j := w.state(a, "1.0"); j.State != farm.Queued {
			t.Errorf("round %d: %s is %s (%s %s)", round, a, j.State, j.Cause, j.Reason)
		}
		w.must(w.exec(`update jobs set state = 'skipped', reason = 'r' where state = 'queued'`))
	}
	w.agrees()
}

// TestRetiredWaitsOn: of a retired target, jobs stay as they are.
func TestRetiredWaitsOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("numpy", "1.0")
	w.add("scipy", "1.0")
	w.lacks("scipy", "numpy")
	_, err := w.RetireTarget(t.Context(), target, "test")
	w.must(err)
	w.must(w.LookAfterWaiting(t.Context()))
	w.wantAll("numpy 1.0 queued, scipy 1.0 waiting numpy")
	w.must(w.AddTarget(t.Context(), target, farm.Facts{}, "test"))
	w.must(w.LookAfterWaiting(t.Context()))
	w.brings("numpy", "1.0")
	w.wantAll("numpy 1.0 built, scipy 1.0 queued")
}
