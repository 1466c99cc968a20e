package publish

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/crash"
)

// running is a publisher that is only woken: nothing makes it look by itself.
func (w *world) running(passed func(crash.Point, string)) *Publisher {
	w.t.Helper()
	p := w.publisher(func(c *Config) { c.RootEvery, c.Rescan = time.Hour, time.Hour })
	root := make(chan bool, 1)
	p.passed = func(point crash.Point, scope string) {
		if point == crash.PublishRootDone {
			root <- true
		}
		passed(point, scope)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	await(w.t, root) // it listens by now, and has nothing to do
	return p
}

func await[T any](t testing.TB, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(time.Minute):
		t.Fatal("nothing happens")
	}
	return v
}

// TestYanksReachThePage measures the way of a word of the upstream from its commit
// to the page.
func TestYanksReachThePage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	done := make(chan time.Time, 1)
	p := w.running(func(point crash.Point, scope string) {
		if point == crash.PublishDone {
			done <- time.Now()
		}
	})
	w.build(artifact{project: "foo", version: "1.0"})
	await(t, done)
	var took []time.Duration
	for i := range 7 {
		reason := strings.Repeat("!", 1+i)
		w.yank("foo", "1.0", reason)
		from := time.Now()
		took = append(took, await(t, done).Sub(from))
		if links := readHTML(t, p.simple()+"/foo/index.html"); links[0]["data-yanked"] != reason {
			t.Errorf("links: %v, want the reason %q", links, reason)
		}
	}
	slices.Sort(took)
	t.Logf("from the commit to the page: median %v, slowest %v", took[3], took[6])
}

// TestManyChangesShareAWriting: the first is written at once, and what comes while
// that is under way makes one more writing, however much it is.
func TestManyChangesShareAWriting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	begun, goOn, done := make(chan bool, 3), make(chan bool, 3), make(chan bool, 3)
	p := w.running(func(point crash.Point, scope string) {
		switch point {
		case crash.PublishFiles:
			begun <- true
			<-goOn
		case crash.PublishDone:
			done <- true
		}
	})
	w.build(artifact{project: "foo", version: "1.0"})
	await(t, begun)
	for _, reason := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		w.yank("foo", "1.0", reason)
	}
	goOn <- true
	await(t, done)
	await(t, begun)
	goOn <- true
	await(t, done)
	if links := readHTML(t, p.simple()+"/foo/index.html"); links[0]["data-yanked"] != "z" {
		t.Errorf("links: %v", links)
	}
	if n := p.Counts().Pages; n != 2 {
		t.Errorf("written %d times", n)
	}
	if left := w.stale(); slices.Contains(left, "foo") {
		t.Errorf("stale: %v", left)
	}
}
