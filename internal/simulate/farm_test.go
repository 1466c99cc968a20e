package simulate

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"pinwheel/internal/collect"
	"pinwheel/internal/dispatch"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// atOnce is how many slaves are served at the same time, as on a farm, where a
// claim may meet a report. Those are the next ones by the simulated clock.
func atOnce(slaves int) int { return max(1, min(slaves/2, 16)) }

// lease is how long one lives.
const lease = dispatch.DefaultLease

// simulation is a farm on simulated time. Times are counted from its beginning.
type simulation struct {
	world    *world
	store    *store.Store
	clock    *clock
	dispatch *dispatch.Dispatcher
	collect  *collect.Collector
	shelf    *shelf
	slaves   []*slave
	at       time.Duration

	mu     sync.Mutex
	ended  time.Duration   // the last build that is home
	conn   *pgx.Conn       // looks at rows
	sweeps []time.Duration // when expired leases are to be looked for
}

// newSimulation makes a farm on an empty database.
func newSimulation(t testing.TB, dsn string, w *world, slaves int) *simulation {
	t.Helper()
	s := &simulation{world: w, shelf: &shelf{files: map[string][]byte{}}}
	s.clock, dsn = newClock(t, dsn, epoch())
	s.store = prepare(t, dsn, w, slaves)
	var err error
	s.conn, err = pgx.Connect(t.Context(), dsn)
	must(t, err)
	t.Cleanup(func() { s.conn.Close(context.Background()) })
	s.dispatch = dispatch.New(dispatch.Config{
		Store: s.store, HTTP: "http://farm.example", Upstream: "http://index.example/simple/", Lease: lease,
		Wait: time.Nanosecond, // slaves wait on simulated time
		Log:  zerolog.Nop(),
	})
	s.collect = collect.New(collect.Config{Store: s.store, Depot: s.shelf, HTTP: "http://farm.example", Key: []byte("key"), Log: zerolog.Nop()})
	t.Cleanup(s.collect.Close)
	s.listen(t)
	for i := range slaves {
		s.slaves = append(s.slaves, newSlave(t, s, i))
	}
	return s
}

// listen lets the store hear what is queued, as dispatch does. Who waits is told by
// the simulation, for it is a matter of time.
func (s *simulation) listen(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	ended, heard := make(chan struct{}), make(chan struct{}, 1)
	go func() {
		defer close(ended)
		s.store.Listen(ctx, store.QueueChannel, func(string) {
			select {
			case heard <- struct{}{}:
			default:
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	<-heard
}

// run builds everything. progress hears of the builds that have ended, now and then.
func (s *simulation) run(ctx context.Context, progress func(builds int, at time.Duration)) error {
	ready := schedule(slices.Clone(s.slaves))
	heap.Init(&ready)
	var waiting []*slave
	for {
		if err := s.sweep(ctx, &ready); err != nil {
			return err
		}
		if len(ready) == 0 {
			return s.stuck(ctx)
		}
		batch := s.next(&ready)
		if err := s.serve(ctx, batch); err != nil {
			return err
		}
		for _, one := range batch {
			if one.done {
				waiting = append(waiting, one)
			} else {
				heap.Push(&ready, one)
			}
		}
		if err := s.wake(ctx, &ready, &waiting); err != nil {
			return err
		}
		progress(s.builds(), s.at)
	}
}

// next takes those out whose turn it is, and moves the clock to the first of them.
func (s *simulation) next(ready *schedule) (batch []*slave) {
	for len(batch) < atOnce(len(s.slaves)) && len(*ready) > 0 {
		one := heap.Pop(ready).(*slave)
		// All of them act at the time of the first: one whose turn is far ahead would
		// get a lease that has ended when its next turn comes.
		if len(batch) > 0 && one.turn() > batch[0].turn()+lease/10 {
			heap.Push(ready, one)
			break
		}
		batch = append(batch, one)
	}
	s.at = max(s.at, batch[0].turn())
	return batch
}

func (s *simulation) serve(ctx context.Context, batch []*slave) error {
	if err := s.clock.set(ctx, epoch().Add(s.at)); err != nil {
		return err
	}
	errs := make([]error, len(batch))
	var all sync.WaitGroup
	for i, one := range batch {
		all.Go(func() { errs[i] = one.act(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// wake lets slaves that found an empty queue ask again if there is something now. A
// farm's are told so by the commit that queues it; that takes milliseconds and is
// measured elsewhere.
func (s *simulation) wake(ctx context.Context, ready *schedule, waiting *[]*slave) error {
	if len(*waiting) == 0 {
		return nil
	}
	queued, err := s.somethingQueued(ctx)
	if err != nil || !queued {
		return err
	}
	for _, one := range *waiting {
		one.wake(s.at)
		heap.Push(ready, one)
	}
	*waiting = nil
	return nil
}

func (s *simulation) somethingQueued(ctx context.Context) (queued bool, err error) {
	const q = `select exists (select 1 from jobs where state = 'queued')`
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.conn.QueryRow(ctx, q).Scan(&queued)
	return queued, err
}

// home notes the end of a build.
func (s *simulation) home(at time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = max(s.ended, at)
}

// sweepAt has expired leases looked for at a time: nothing expires else, since all
// slaves that are up renew theirs.
func (s *simulation) sweepAt(at time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweeps = append(s.sweeps, at)
}

// sweep takes expired leases back when it is time, as dispatch's loop does.
func (s *simulation) sweep(ctx context.Context, ready *schedule) error {
	slices.Sort(s.sweeps)
	for len(s.sweeps) > 0 && (len(*ready) == 0 || s.sweeps[0] <= (*ready)[0].turn()) {
		s.at = max(s.at, s.sweeps[0])
		s.sweeps = s.sweeps[1:]
		if err := s.clock.set(ctx, epoch().Add(s.at)); err != nil {
			return err
		}
		if _, err := s.store.Sweep(ctx, lease); err != nil {
			return err
		}
	}
	return nil
}

// stuck is the end: nobody has anything to do. That is right if every job has ended.
func (s *simulation) stuck(ctx context.Context) error {
	const q = `select count(*) from jobs where state in ('queued', 'leased', 'waiting')`
	var left int64
	if err := s.conn.QueryRow(ctx, q).Scan(&left); err != nil {
		return err
	}
	if left > 0 {
		return errors.New("all slaves wait, and there are jobs that have not ended")
	}
	return nil
}

func (s *simulation) builds() (n int) {
	for _, one := range s.slaves {
		n += one.tally.builds
	}
	return n
}

// schedule is a heap of slaves by whose turn it is.
type schedule []*slave

func (q schedule) Len() int { return len(q) }
func (q schedule) Less(i, j int) bool {
	if a, b := q[i].turn(), q[j].turn(); a != b {
		return a < b
	}
	return q[i].number < q[j].number
}
func (q schedule) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *schedule) Push(x any)   { *q = append(*q, x.(*slave)) }
func (q *schedule) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

// shelf is a depot in memory, for as long as a report is under way.
type shelf struct {
	mu    sync.Mutex
	files map[string][]byte
}

func (s *shelf) lay(f farm.File, body []byte) (away func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[f.SHA256] = body
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.files, f.SHA256)
	}
}

func (s *shelf) get(sum string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[sum]
}

// Has is of collect.Depot, like the methods that follow.
func (s *shelf) Has(sum string, size int64) (bool, error) { return int64(len(s.get(sum))) == size, nil }

// Reader opens a file.
func (s *shelf) Reader(sum string) (io.ReaderAt, io.Closer, error) {
	body := s.get(sum)
	if body == nil {
		return nil, nil, farm.ErrNotFound
	}
	return bytes.NewReader(body), io.NopCloser(nil), nil
}

// Put is never asked for: everything is there before it is reported.
func (s *shelf) Put(context.Context, io.Reader, farm.File) error { return errors.ErrUnsupported }

// Remove is never asked for: nothing is damaged.
func (s *shelf) Remove(string) error { return errors.ErrUnsupported }
