package ingest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"pinwheel/internal/farm"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/pypi"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
)

// storyPatience is how long one story may take on a machine that is busy.
const storyPatience = 2 * time.Minute

// stage of stories: a farm's database, and gates through which its follower must
// go. One story after the other is told on it.
type theatre struct {
	t     testing.TB
	log   zerolog.Logger
	conn  *pgx.Conn    // past the gates
	store *store.Store // likewise
	// start begins to follow on another side of the gates, and returns how to end it
	// when the life is over already.
	start func(databaseURL, httpAddr, simple string) (end func() error, err error)

	database, http *gate
	network, addr  string // of the database's server
	through        string // its URL through the gate
	targets        []store.TargetRow
	lives          *atomic.Int64 // how many followers were started
}

func newTheatre(t testing.TB) *theatre {
	t.Helper()
	dsn := pgtest.New(t)
	th := &theatre{t: t, log: zerolog.Nop(), database: newGate(t, true), http: newGate(t, false)}
	th.start = th.inProcess
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	th.network, th.addr, th.through, err = databaseAt(dsn, th.database)
	must(err)
	th.conn, err = pgx.Connect(t.Context(), dsn)
	must(err)
	t.Cleanup(func() { th.conn.Close(context.Background()) })
	th.store, err = store.Open(t.Context(), dsn)
	must(err)
	t.Cleanup(th.store.Close)
	for name, facts := range map[string]farm.Facts{v7: {}, v13: {Python: "3.13.5", Glibc: "2.41"}, "cp39-linux_armv7l": {}} {
		target, err := farm.ParseTarget(name)
		must(err)
		must(th.store.AddTarget(t.Context(), target, facts, "test"))
	}
	th.targets, err = th.store.Targets(t.Context())
	must(err)
	return th
}

// reset forgets the story before.
func (th *theatre) reset(ctx context.Context) error {
	const q = `
delete from packages; delete from reading; delete from walks; delete from upstream_faults; delete from held; delete from stale_pages;
delete from audit_trail; delete from settings; delete from following; insert into following default values`
	_, err := th.conn.Exec(ctx, q)
	return err
}

// storyTimes are a thousandth of the usual ones.
func storyTimes() times {
	ms := time.Millisecond
	return times{
		firstPause: 2 * ms, longPause: 20 * ms, absent: 30 * ms, behindCheck: 20 * ms, behindSaid: 50 * ms, twice: 10 * ms,
		stale:  []time.Duration{2 * ms, 5 * ms, 5 * ms, 10 * ms, 10 * ms, 10 * ms, 10 * ms},
		unread: 3 * ms, unreadMost: 20 * ms, badMost: 20 * ms, lease: 300 * ms, rescan: 30 * ms,
		away: 10 * ms, awayMost: 20 * ms, aged: time.Hour, plan: 100 * ms,
	}
}

// storyFollower follows an index through gates.
func storyFollower(s *store.Store, httpAddr, simple string, log zerolog.Logger) (*Follower, *http.Transport) {
	dial := &net.Dialer{}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dial.DialContext(ctx, network, httpAddr)
	}}
	client := pypi.New(pypi.Config{
		Simple: simple, HTTP: &http.Client{Transport: transport}, Tries: 2, Pause: time.Millisecond,
		Timeout: 250 * time.Millisecond, Patience: 300 * time.Millisecond, MaxBytes: 300_000, MaxList: 300_000,
	})
	f := NewFollower(FollowConfig{
		Store: s, Index: client, Stats: []func() pypi.Stats{client.Stats}, Log: log, Policy: storyPolicy(),
		Poll: 5 * time.Millisecond, WalkEvery: 30 * time.Millisecond, Requests: 3, Nightly: noNight(),
	})
	f.times = storyTimes()
	return f, transport
}

func storyPolicy() farm.Policy { return farm.DefaultPolicy() }

// inProcess starts a follower in this process. Its context ends after its life:
// what it still tries to say on its way out is heard by nobody.
func (th *theatre) inProcess(databaseURL, httpAddr, simple string) (func() error, error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- func() error {
			s, err := store.Open(ctx, databaseURL)
			if err != nil {
				return nil // cut off at its first words
			}
			defer s.Close()
			f, transport := storyFollower(s, httpAddr, simple, th.log)
			defer transport.CloseIdleConnections()
			return f.Run(ctx)
		}()
	}()
	return func() error {
		cancel()
		if err := <-ended; err != nil && ctx.Err() == nil {
			return fmt.Errorf("the follower ended: %w", err)
		}
		return nil
	}, nil
}

// story is one run: what happens upstream and to the follower, and when.
type story struct {
	*theatre
	server *pypitest.Server
	seed   uint64
	number int          // of stories told before it on the same farm
	life   *life        // nil: nobody follows
	end    func() error // of that life

	mu    sync.Mutex
	left  []turn
	steps int
	told  []string // what has happened, with the step at which it did
	fail  error
	asked chan struct{} // the follower has asked the upstream something
}

// turn is something that happens at a step, or as soon as the follower has nothing
// to do.
type turn struct {
	at   int
	what string
	do   func() (string, error) // returns more words of what was done; nil: nothing but cut
	cut  cut
}

// run tells what is left of the story and returns when the follower, which lives
// on, has nothing left to do.
func (s *story) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storyPatience)
	defer cancel()
	for {
		if s.life == nil {
			if err := s.revive(); err != nil {
				return err
			}
		}
		quiet, err := s.attend(ctx, s.life)
		if err != nil || quiet {
			return err
		}
		if err := s.bury(); err != nil {
			return err
		}
	}
}

func (s *story) revive() (err error) {
	s.lives.Add(1)
	l := newLife(s.step)
	s.database.open(l, s.network, s.addr)
	s.http.open(l, "tcp", strings.TrimPrefix(s.server.Base(), "http://"))
	if s.end, err = s.start(s.through, s.http.addr(), s.server.URL()); err == nil {
		s.life = l
	}
	return err
}

// bury ends what is left of a follower that was cut off, and waits until the
// database has heard the last of it.
func (s *story) bury() error {
	s.life.end()
	err := s.end()
	s.life.ended.Wait()
	s.life = nil
	return err
}

// leave lets the follower end as it likes to.
func (s *story) leave() error {
	if s.life == nil {
		return nil
	}
	err := s.end()
	s.life.end()
	s.life.ended.Wait()
	s.life = nil
	return err
}

// attend returns when the follower was cut off, or has nothing left to do at the
// end of the story, which is true.
func (s *story) attend(ctx context.Context, l *life) (quiet bool, err error) {
	for {
		select {
		case <-l.killed:
			return false, s.failed()
		case <-ctx.Done():
			return false, fmt.Errorf("it does not come to rest: %s", s.unrest(context.WithoutCancel(ctx)))
		case <-s.asked:
		}
		if ctx.Err() != nil {
			continue
		}
		over := s.isTold() // before the look at the rows: one more thing may happen meanwhile
		idle, err := s.idle(ctx)
		if err != nil && ctx.Err() == nil {
			return false, err
		}
		switch {
		case idle && over:
			return true, s.failed()
		case idle:
			s.forward()
		}
	}
}

func (s *story) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fail
}

// step is the life's: what is due happens now.
func (s *story) step(g *gate) cut {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g == s.http {
		wake(s.asked)
	}
	s.steps++
	return s.turns(s.steps)
}

// isTold says whether nothing is left of the story.
func (s *story) isTold() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.left) == 0
}

// forward does what comes next, though it is not due.
func (s *story) forward() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.left) == 0:
	case s.left[0].cut != goOn:
		s.left[0].at = s.steps // at the next step of what follows
	default:
		s.turns(max(s.steps, s.left[0].at))
	}
}

func (s *story) turns(until int) cut {
	for len(s.left) > 0 && s.left[0].at <= until {
		one := s.left[0]
		s.left = s.left[1:]
		words := one.what
		if one.do != nil {
			more, err := one.do()
			words += more
			if err != nil && s.fail == nil {
				s.fail = fmt.Errorf("tell %q: %w", words, err)
			}
		}
		s.told = append(s.told, fmt.Sprintf("%5d %s", s.steps, words))
		if one.cut != goOn {
			return one.cut
		}
	}
	return goOn
}

// idle says whether the follower has nothing to do: all that was announced is
// read, and walks have ended.
func (s *story) idle(ctx context.Context) (bool, error) {
	const q = `
select f.serial, not exists (select 1 from reading) and not exists (select 1 from walks where ended_at is null)
from following f`
	var serial int64
	var idle bool
	upstream := s.server.Serial("")
	err := s.conn.QueryRow(context.WithoutCancel(ctx), q).Scan(&serial, &idle)
	return idle && serial == upstream, err
}

func (s *story) unrest(ctx context.Context) string {
	var text string
	const q = `
select concat_ws('; ', 'serial ' || f.serial, 'trouble ' || f.trouble, (select string_agg(to_jsonb(r)::text, ', ') from reading r),
    (select string_agg(to_jsonb(w)::text, ', ') from walks w where ended_at is null)) from following f`
	if err := s.conn.QueryRow(ctx, q).Scan(&text); err != nil {
		text = err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%s; the upstream is at %d; %d turns left, %d steps", text, s.server.Serial(""), len(s.left), s.steps)
}

// chapters is how many stories one farm lives through: each begins as the one
// before it has ended, which is cheaper than to begin from nothing.
const chapters = 5

// play tells the stories of a seed, and holds what the farm has come to after each
// to what is true upstream. It returns how many it told.
func (th *theatre) play(ctx context.Context, seed uint64) (told int, err error) {
	if err := th.reset(ctx); err != nil {
		return 0, err
	}
	server, err := pypitest.Start("")
	if err != nil {
		return 0, err
	}
	defer server.Close()
	s := &story{theatre: th, server: server, seed: seed, asked: make(chan struct{}, 1)}
	for ; s.number < chapters && err == nil; s.number++ {
		if err = s.tell(ctx); err == nil {
			told++
		}
	}
	err = errors.Join(err, s.leave())
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		err = fmt.Errorf("seed %d: %w\nwhat happened, after how many steps:\n%s", seed, err, strings.Join(s.told, "\n"))
	}
	return told, err
}

func (s *story) tell(ctx context.Context) error {
	if err := s.write(ctx); err != nil {
		return err
	}
	if err := s.run(ctx); err != nil {
		return err
	}
	wrong, err := s.compare(ctx)
	if err == nil && len(wrong) > 0 {
		slices.Sort(wrong)
		err = fmt.Errorf("the farm is not what the upstream is:\n%s", strings.Join(wrong, "\n"))
	}
	return err
}
