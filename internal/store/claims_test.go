package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
	"pinwheel/internal/storetest"
)

func TestClaimNewestFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0", "3.0")
	var got []string
	for i := range 4 {
		l, ok := w.claim("a", fmt.Sprint(i))
		got = append(got, fmt.Sprint(l.Version, ok))
	}
	if diff := cmp.Diff([]string{"3.0true", "2.0true", "1.0true", "false"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestRepeatedRequestGetsTheSameLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0")
	first, _ := w.claim("a", "r1")
	again, _ := w.claim("a", "r1")
	if diff := cmp.Diff(first, again); diff != "" {
		t.Error(diff)
	}
}

// TestClaimsAreNeverShared lets many ask at once.
func TestClaimsAreNeverShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var versions []string
	for i := range 40 {
		versions = append(versions, fmt.Sprintf("1.%d", i))
	}
	w.add("demo", versions...)
	got := make(chan int64, 100)
	done := make(chan error, 8)
	for g := range 8 {
		go func() {
			for i := range 5 {
				l, ok, err := w.Claim(t.Context(), store.ClaimRequest{Slave: w.slaves["a"], Request: fmt.Sprint(g, "/", i),
					Token: fmt.Sprint("t", g, "/", i), Targets: []int64{w.targetID}, Length: time.Minute})
				if err != nil || !ok {
					done <- fmt.Errorf("claim: %v %v", ok, err)
					return
				}
				got <- l.Job
			}
			done <- nil
		}()
	}
	for range 8 {
		w.must(<-done)
	}
	close(got)
	seen := map[int64]bool{}
	for job := range got {
		if seen[job] {
			t.Fatalf("job %d was leased twice", job)
		}
		seen[job] = true
	}
	if len(seen) != 40 {
		t.Errorf("%d jobs leased, want 40", len(seen))
	}
}

// TestHeadIsForgotten: a claim starts behind the last one, but what is queued
// before that place meanwhile is found: at once when it is heard of, and in any
// case when nothing else is left.
func TestHeadIsForgotten(t *testing.T) {
	t.Parallel()
	for _, listening := range []bool{true, false} {
		w := newWorld(t)
		w.add("demo", "1.0", "2.0", "3.0")
		heard := make(chan string, 10)
		if listening {
			ended := make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			go func() { defer close(ended); w.Listen(ctx, store.QueueChannel, func(p string) { heard <- p }) }()
			defer func() { cancel(); <-ended }()
			<-heard
		}
		first, _ := w.claim("a", "r1") // 3.0: the head is behind it
		e := w.ending("a", first)
		e.Failure = farm.Failure{Cause: farm.CompilerError}
		_, err := w.FinishFailed(t.Context(), e)
		w.must(err)
		_, err = w.Requeue(t.Context(), store.Requeue{Selector: store.Selector{Version: "3.0"}, Actor: "test"})
		w.must(err)
		want := []string{"2.0", "1.0", "3.0"}
		if listening {
			<-heard
			want = []string{"3.0", "2.0", "1.0"}
		}
		var got []string
		for i := range 3 {
			l, _ := w.claim("b", fmt.Sprint(i))
			got = append(got, l.Version)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("listening = %v:\n%s", listening, diff)
		}
	}
}

// TestMostUrgentTargetFirst: who serves several targets has what is most urgent on any of them,
// and of equals what is for the lowest Python.
func TestMostUrgentTargetFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	higher := farm.Target{ABI: "cp313", Platform: target.Platform}
	w.must(w.AddTarget(t.Context(), higher, farm.Facts{}, "test"))
	w.add("low", "1.0", "2.0", "3.0", "4.0")
	for _, name := range []string{"asked-1", "asked-2", "later"} {
		storetest.Release(t, w.Store, name, higher, store.ReleaseFacts{Version: "1.0", Raw: "1.0", Sdist: farm.Sdist{Filename: name + "-1.0.tar.gz"}})
	}
	w.must(w.exec(`update jobs j set priority = case when p.name like 'asked-%' then 10 else 40 end from packages p where p.id = j.package_id`))
	rows, err := w.Targets(t.Context())
	w.must(err)
	var ids []int64
	for _, r := range rows {
		ids = append(ids, r.ID)
	}
	var got []string
	for i := range 8 {
		l, ok, err := w.Claim(t.Context(), store.ClaimRequest{Slave: w.slaves["a"], Request: fmt.Sprint(i), Token: fmt.Sprint("t", i), Targets: ids, Length: time.Minute})
		w.must(err)
		if ok {
			got = append(got, l.Package)
		}
	}
	// The first claim has nothing to go by; nor has the one after "asked", that more may be behind it.
	want := []string{"low", "asked-2", "asked-1", "later", "low", "low", "low"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
