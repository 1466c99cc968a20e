package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sync/semaphore"

	"pinwheel/internal/pypi"
	"pinwheel/internal/service"
	"pinwheel/internal/store"
)

// task is one project on its way from the worklist to its rows.
type task struct {
	reading   store.Reading
	known     store.Known
	project   *pypi.Project // nil: see below
	gone      bool          // the upstream has it no more
	unchanged bool          // what the farm has is still true
	planned   bool          // the upstream was not asked
	partly    bool          // what project lacks is not to be believed, and it stays on the list
	heard     heard         // of the name, as events had it when it was read
	size      int64         // about, of project in memory
}

func (it *task) name() string { return it.known.Name }

const (
	ahead     = 24       // projects taken or read, and not written yet, for each request
	heldMost  = 16 << 20 // bytes, about, of projects that wait to be written
	perFile   = 700      // bytes, about, of a file in memory
	batchMost = 200      // projects in one transaction
)

// reader is the worklist being worked off: one takes names from it, some ask the
// upstream, two write what they bring. Nobody waits for a batch to fill: what is
// ready when the last commit has ended is the next batch.
type reader struct {
	*Follower
	slots  chan struct{} // taken for each item under way
	asks   chan *task
	answer chan *task
	health *health
	lanes  lanes
	paced  time.Time           // nothing is taken before, see eventRate
	weight *semaphore.Weighted // of what waits to be written
}

// read works off what is due, until ctx ends.
func (f *Follower) read(ctx context.Context) error {
	r := f.newReader()
	// Two write: while Postgres has the batch of one, the other decides on the next.
	parts := []service.Part{{Name: "take", Run: r.take}, {Name: "write 1", Run: r.write}, {Name: "write 2", Run: r.write}}
	for n := range f.cfg.Requests {
		parts = append(parts, service.Part{Name: fmt.Sprint("ask ", n+1), Run: r.ask})
	}
	return service.RunAll(ctx, parts...)
}

// newReader has all its room, whatever one before it left behind that was ended in
// the middle of its work.
func (f *Follower) newReader() *reader {
	return &reader{
		Follower: f, slots: make(chan struct{}, ahead*f.cfg.Requests), asks: make(chan *task),
		answer: make(chan *task, ahead*f.cfg.Requests), weight: semaphore.NewWeighted(heldMost),
		health: &health{now: f.now, pause: growing{first: f.times.away, most: f.times.awayMost}},
		lanes:  lanes{busy: map[string]bool{}, next: map[string]*task{}},
	}
}

// take hands names that are due to those who ask, until ctx ends.
func (r *reader) take(ctx context.Context) error {
	pause := growing{first: time.Second, most: 30 * time.Second}
	for ctx.Err() == nil {
		wait, err := r.takeSome(ctx)
		switch {
		case err == nil:
			pause.reset()
		case ctx.Err() == nil:
			r.log.Error().Err(err).Msg("names to read not taken")
			wait = pause.next()
		}
		if wait > 0 {
			sleep(ctx, wait, r.wake)
		}
	}
	return ctx.Err()
}

// takeSome returns how long nothing will be due.
func (r *reader) takeSome(ctx context.Context) (wait time.Duration, err error) {
	if list := r.lanes.takeFree(); len(list) > 0 {
		return 0, r.send(ctx, list)
	}
	if wait := r.paced.Sub(r.now()); wait > 0 {
		return wait, nil
	}
	n, wait := r.health.allow(cap(r.slots)-len(r.slots), len(r.slots))
	if n == 0 {
		return cmp.Or(wait, r.times.rescan), nil // who frees a slot wakes us
	}
	// Few at once: an event goes before a walk's names that are not taken yet.
	list, err := r.cfg.Store.TakeReading(ctx, min(n, r.cfg.Requests), r.times.lease)
	if err != nil {
		return 0, err
	}
	if len(list) == 0 {
		return r.nothingDue(ctx)
	}
	r.pace(list)
	var free []*task
	for _, one := range list {
		r.slots <- struct{}{} // there is room: nobody else fills them
		it := &task{reading: one, known: store.Known{ProjectFacts: store.ProjectFacts{Name: one.Name}}}
		if mine, replaced := r.lanes.enter(it); mine {
			free = append(free, it)
		} else if replaced {
			<-r.slots
		}
	}
	return 0, r.send(ctx, free)
}

// send has tasks asked for, each with what is known when it begins.
func (r *reader) send(ctx context.Context, list []*task) error {
	if len(list) == 0 {
		return nil
	}
	var known map[string]store.Known
	err := r.persist(ctx, "what is known of projects not read", func(ctx context.Context) (err error) {
		known, err = r.cfg.Store.KnownProjects(ctx, names(list))
		return err
	})
	if err != nil {
		return err // the end of ctx
	}
	for _, it := range list {
		it.known = knownAs(known, it.name())
		select {
		case r.asks <- it:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// knownAs is what the farm holds of a project, also if that is nothing.
func knownAs(known map[string]store.Known, name string) store.Known {
	k := known[name]
	k.Name = name
	return k
}

func (r *reader) nothingDue(ctx context.Context) (time.Duration, error) {
	wait, ok, err := r.cfg.Store.NextReading(ctx)
	if err != nil {
		return 0, err
	}
	if len(r.slots) == 0 {
		wake(r.look) // walks may have ended
		r.idle()
	}
	if !ok {
		return r.times.rescan, nil
	}
	return min(max(wait, 10*time.Millisecond), r.times.rescan), nil
}

// done gives a task's slot back, and lets the next one of the same name begin.
func (r *reader) done(it *task) {
	r.lanes.leave(it.name())
	<-r.slots
	wake(r.wake)
}

// ask asks the upstream for one project after the other, until ctx ends.
func (r *reader) ask(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case it := <-r.asks:
			if !r.fetch(ctx, it) {
				r.done(it)
				continue
			}
			if err := r.weight.Acquire(ctx, it.size); err != nil {
				return err
			}
			r.answer <- it // there is room for as many as are under way
		}
	}
}

// fetch reads one project; false says that there is nothing to write, and what is
// to come of it is kept.
func (r *reader) fetch(ctx context.Context, it *task) bool {
	backs := r.health.times()
	write := r.fetched(ctx, it)
	if !write && r.health.times() != backs {
		r.hasten(ctx) // put off for the upstream's sake, which was back before that was kept
	}
	return write
}

func (r *reader) fetched(ctx context.Context, it *task) bool {
	p, err := r.request(ctx, it)
	if ctx.Err() != nil {
		return false // its lease is freed by whoever comes next
	}
	stale := errors.Is(err, pypi.ErrStale)
	r.hear(ctx, it, err)
	r.spelled.spell(it, &p)
	switch {
	case err == nil && r.ghost(it, p.Status), errors.Is(err, pypi.ErrUnchanged) && r.ghost(it, it.known.Status):
		r.doubt(ctx, it, step(r.times.stale, inARow(it.reading, stillCached)), stillCached)
	case err == nil && unsure(it, p):
		// Put off first: who is killed in between has written less, and reads it again.
		r.putOff(ctx, it, doubled(r.times.unread, r.times.unreadMost, it.reading.Tries), notTold)
		it.project, it.partly, it.size = &p, true, weigh(p)
		return true
	case err == nil && emptied(it.known, p) && !r.lost(ctx, it, emptyPage):
	case err == nil:
		it.project = &p
		it.size = weigh(p)
		return true
	case errors.Is(err, pypi.ErrUnchanged):
		it.unchanged = true
		return true
	case errors.Is(err, pypi.ErrNotFound):
		return r.missing(ctx, it, err)
	case stale:
		r.old(ctx, it, err)
	case errors.Is(err, pypi.ErrUnavailable):
		r.putOff(ctx, it, max(doubled(r.times.unread, r.times.unreadMost, it.reading.Tries), after(err, r.times.unreadMost)), err.Error())
	default:
		// The answer is none, and may be none for long. That is no reason to stop.
		r.log.Warn().Err(err).Str("package", it.name()).Msg("project not read")
		r.putOff(ctx, it, doubled(4*r.times.unread, r.times.badMost, 2*it.reading.Tries), err.Error())
	}
	return false
}

// request asks with what is known, and a page that is too big once more by itself.
func (r *reader) request(ctx context.Context, it *task) (p pypi.Project, err error) {
	defer func() {
		if v := recover(); v != nil { // of this one project's words; others must not suffer
			err = fmt.Errorf("read project %s: its page breaks the parser: %v", it.name(), v)
			r.faults.count("panic", err.Error())
		}
	}()
	var seen pypi.Seen
	// Without all releases, an unchanged page would not bring those that are missing;
	// and of what is held back it may mean something else now. An old page that is taken
	// at last must tell its serial, by which the next walk finds it to be old.
	if it.known.ID != 0 && (it.known.Followed || !it.reading.Follow) && !heldBefore(it.known) && !r.givenUp(it) {
		seen = pypi.Seen{ETag: it.known.ETag, Serial: it.known.Serial}
	}
	p, err = r.cfg.Index.ProjectAt(ctx, it.name(), seen, r.wanted(it))
	if pypi.FaultOf(err) == pypi.TooBig {
		r.large.Lock()
		defer r.large.Unlock()
		p, err = r.cfg.Large.ProjectAt(ctx, it.name(), seen, r.wanted(it))
	}
	if !errors.Is(err, pypi.ErrNotFound) { // that is an answer: see missing
		r.faults.note(err)
	}
	return p, err
}

// putOff leaves a project for later.
func (f *Follower) putOff(ctx context.Context, it *task, pause time.Duration, trouble string) {
	err := f.cfg.Store.PutOff(ctx, it.name(), it.reading.Revision, it.reading.Tries+1, jitter(pause, 8), short(trouble))
	if err != nil && ctx.Err() == nil {
		f.log.Error().Err(err).Msg("project not put off") // then its lease ends
	}
}

// short bounds the words of a trouble, which may be the upstream's, to one line
// that every database takes.
func short(s string) string {
	const most = 500
	line := strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
	return strings.ToValidUTF8(line[:min(len(line), most)], "")
}

func weigh(p pypi.Project) int64 {
	files := 1
	for _, r := range p.Releases {
		files += 1 + len(r.Wheels)
	}
	return min(int64(files)*perFile, heldMost)
}

func step(pauses []time.Duration, tries int) time.Duration { return pauses[min(tries, len(pauses)-1)] }

func doubled(first, most time.Duration, tries int) time.Duration {
	for range min(tries, 32) {
		if first *= 2; first >= most {
			return most
		}
	}
	return min(first, most)
}
