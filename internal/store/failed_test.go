package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// TestFailuresTogether: those that share a transaction come to what each would have
// come to alone.
func TestFailuresTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0", "3.0", "4.0")
	var all []store.Ending
	for i := range 4 {
		l, ok := w.claim("a", fmt.Sprint(i))
		if !ok {
			t.Fatal("no lease")
		}
		e := w.ending("a", l)
		e.Failure = farm.Failure{Cause: farm.CompilerError, Detail: l.Version}
		all = append(all, e)
	}
	w.must(w.exec(`update jobs set lease_token = 'another' where lease_token = $1`, all[2].Token))
	stranger := all[0]
	stranger.Token = "never-issued"
	foreign := all[3]
	foreign.Slave++
	res, errs := w.FinishFailedTogether(t.Context(), append(all, all[0], stranger, foreign)...)
	var got []string
	for i := range res {
		got = append(got, fmt.Sprintf("%v %s %v %v", res[i].Counted, res[i].Why, errors.Is(errs[i], farm.ErrNotFound), errs[i] == nil))
	}
	want := []string{"true  false true", "true  false true", "false the lease is not current false true", "true  false true",
		"false reported before false true", "false  true false", "false  true false"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("counted, why, not found, fine:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i, state := range map[int]farm.State{0: farm.Failed, 1: farm.Failed, 2: farm.Leased, 3: farm.Failed} {
		if j := w.state("demo", all[i].Failure.Detail); j.State != state {
			t.Errorf("%s is %s, want %s", all[i].Failure.Detail, j.State, state)
		}
	}
}

// TestOneBadFailureSpoilsNoOther: what cannot be a row is refused alone.
func TestOneBadFailureSpoilsNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0", "3.0")
	var all []store.Ending
	for i := range 3 {
		l, _ := w.claim("a", fmt.Sprint(i))
		e := w.ending("a", l)
		e.Failure.Cause = farm.CompilerError
		all = append(all, e)
	}
	all[1].Excerpt = strings.Repeat("x", 3000) // more than a row may have
	res, errs := w.FinishFailedTogether(t.Context(), all...)
	for i := range all {
		if bad := i == 1; (errs[i] != nil) != bad || res[i].Counted == bad {
			t.Errorf("report %d: counted %v, %v", i, res[i].Counted, errs[i])
		}
	}
}

// TestManyFailuresAtOnce: each is counted once, however they come together.
func TestManyFailuresAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const jobs = 60
	var all sync.WaitGroup
	for i := range jobs {
		w.add(fmt.Sprintf("p%d", i), "1.0")
	}
	for i := range jobs {
		l, ok := w.claim("a", fmt.Sprint(i))
		if !ok {
			t.Fatal("no lease")
		}
		e := w.ending("a", l)
		e.Failure.Cause = farm.CompilerError
		for range 2 {
			all.Go(func() {
				if _, err := w.FinishFailed(t.Context(), e); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	rows, err := w.Jobs(t.Context(), store.Selector{})
	w.must(err)
	for _, j := range rows {
		if j.State != farm.Failed {
			t.Errorf("%s is %s", j.Package, j.State)
		}
	}
}
