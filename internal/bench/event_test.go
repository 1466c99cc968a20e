package bench_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/embedpg"
	"pinwheel/internal/farm"
	"pinwheel/internal/farmtest"
	"pinwheel/internal/ingest"
	"pinwheel/internal/proc"
	"pinwheel/internal/pypi"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
)

// eventPoll is the pause between two looks at the changelog; a farm's own is 10 s.
const eventPoll = 100 * time.Millisecond

// BenchmarkEventToSlave tells how long it takes from a release that is visible
// upstream until a waiting slave holds the job: in all, which is mostly the wait for
// the next poll, and the farm's own share, without that wait and without the time
// that the upstream took to answer. The plain way is one HTTP request for the page
// and one insertion of a row. Run it with -benchtime 200x or more.
func BenchmarkEventToSlave(b *testing.B) {
	f := followedFarm(b)
	var all, own, plain []time.Duration
	b.ResetTimer()
	for i := range b.N {
		// At any moment between two polls, as releases come.
		<-time.After(rand.N(eventPoll))
		total, share := f.event(fmt.Sprintf("story-%d", i))
		all, own = append(all, total), append(own, share)
		b.StopTimer()
		plain = append(plain, f.plainly(fmt.Sprintf("story-%d", i)))
		b.StartTimer()
	}
	b.StopTimer()
	b.ReportMetric(quantile(all, 0.5), "p50-ms")
	b.ReportMetric(quantile(all, 0.99), "p99-ms")
	b.ReportMetric(quantile(own, 0.5), "own-p50-ms")
	b.ReportMetric(quantile(own, 0.99), "own-p99-ms")
	b.ReportMetric(quantile(plain, 0.5), "plain-p50-ms")
}

// followed is a farm that follows a fake index, with one slave that waits.
type followed struct {
	*rig
	index *pypitest.Server
	watch *watchedHTTP
	conn  *pgx.Conn
}

func followedFarm(b *testing.B) *followed {
	b.Helper()
	dir := home(b, 0)
	pg, err := embedpg.Start(b.Context(), embedpg.Config{Dir: dir, CacheDir: proc.DefaultCacheDir(), Log: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { pg.Close() })
	if _, _, err := store.Migrate(b.Context(), pg.URL()); err != nil {
		b.Fatal(err)
	}
	f := &followed{rig: newRig(b, pg.URL(), 1), index: pypitest.New(b), watch: &watchedHTTP{ended: map[string]span{}}}
	if err := f.store.AddTarget(b.Context(), target, farm.Facts{}, "test"); err != nil {
		b.Fatal(err)
	}
	if f.conn, err = pgx.Connect(b.Context(), pg.URL()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.conn.Close(context.Background()) })
	f.follow()
	return f
}

// follow starts to follow, and returns when events are heard.
func (f *followed) follow() {
	client := pypi.New(pypi.Config{Simple: f.index.URL(), HTTP: &http.Client{Transport: f.watch}})
	follower := ingest.NewFollower(ingest.FollowConfig{
		Store: f.store, Index: client, Policy: farm.DefaultPolicy(), Log: zerolog.Nop(), Poll: eventPoll,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); follower.Run(ctx) }()
	f.b.Cleanup(func() { cancel(); <-ended })
	farmtest.Eventually(f.b, "the farm follows", func() bool {
		at, err := f.store.Following(f.b.Context())
		return err == nil && at.Source == "changelog"
	})
}

// event releases a package and returns when the slave holds its job: how long that
// took, and how much of it is the farm's.
func (f *followed) event(name string) (total, own time.Duration) {
	lease := make(chan error, 1)
	asking := make(chan struct{})
	go func() {
		close(asking)
		lease <- f.await(name)
	}()
	<-asking
	if err := f.index.Upload(pypitest.Release{Name: name, Version: "1.0", Hollow: true}); err != nil {
		f.b.Fatal(err)
	}
	visible := time.Now()
	if err := <-lease; err != nil {
		f.b.Fatal(err)
	}
	now := time.Now()
	heard, page := f.watch.of("/simple/" + name + "/")
	if _, err := f.conn.Exec(f.b.Context(), `delete from packages where name = $1`, name); err != nil {
		f.b.Fatal(err)
	}
	return now.Sub(visible), now.Sub(heard.end) - page.end.Sub(page.began)
}

// await asks for work until there is some, as a slave does.
func (f *followed) await(name string) error {
	for i := 0; ; i++ {
		reply, err := f.slaves[0].Next(f.b.Context(), bus.Next{Request: fmt.Sprintf("%s/%d", name, i), Targets: []farm.Target{target}})
		if err != nil {
			return err
		}
		if reply.Lease == nil {
			continue
		}
		if reply.Lease.Package != name {
			return fmt.Errorf("the slave has %s, and waits for %s", reply.Lease.Package, name)
		}
		return nil
	}
}

// plainly does the least that could be done of it.
func (f *followed) plainly(name string) time.Duration {
	began := time.Now()
	resp, err := http.Get(f.index.URL() + name + "/")
	if err != nil {
		f.b.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		f.b.Fatal(err)
	}
	if _, err := f.conn.Exec(f.b.Context(), `insert into settings (name, value) values ($1, $2)`, name, string(text)); err != nil {
		f.b.Fatal(err)
	}
	return time.Since(began)
}

// watchedHTTP notes when the follower's questions began and when their answers had
// come.
type watchedHTTP struct {
	mu    sync.Mutex
	heard span            // the last answer of the changelog that brought something
	ended map[string]span // by path
}

type span struct{ began, end time.Time }

func (w *watchedHTTP) RoundTrip(req *http.Request) (*http.Response, error) {
	began := time.Now()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(strings.NewReader(string(text)))
	w.mu.Lock()
	defer w.mu.Unlock()
	s := span{began, time.Now()}
	if req.Method == http.MethodGet {
		w.ended[req.URL.Path] = s
	} else if strings.Contains(string(text), "new release") {
		w.heard = s
	}
	return resp, err
}

// of are the answers that led to a project's job: the changelog's, and its page's.
func (w *watchedHTTP) of(path string) (heard, page span) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.heard, w.ended[path]
}
