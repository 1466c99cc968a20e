package ingest

import (
	"context"
	"fmt"
	"slices"

	"github.com/rs/zerolog"

	"pinwheel/internal/crash"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// write makes the rows of what was read agree, in batches, until ctx ends.
func (r *reader) write(ctx context.Context) error {
	for {
		var batch []*task
		select {
		case <-ctx.Done():
			return ctx.Err()
		case it := <-r.answer:
			batch = append(batch, it)
		}
		for more := true; more && len(batch) < batchMost; {
			select {
			case it := <-r.answer:
				batch = append(batch, it)
			default:
				more = false
			}
		}
		r.writeBatch(ctx, batch)
		for _, it := range batch {
			r.weight.Release(it.size)
			r.done(it)
		}
	}
}

func (r *reader) writeBatch(ctx context.Context, batch []*task) {
	var left []*task
	err := r.persist(ctx, "what was read not written", func(ctx context.Context) (err error) {
		left, err = r.settle(ctx, batch)
		return err
	})
	if err != nil {
		return // the end of ctx
	}
	for _, it := range left {
		r.putOff(ctx, it, step(r.times.stale, it.reading.Tries), "others change it again and again")
	}
}

// rounds is how often a project is decided on anew because others changed it
// meanwhile.
const rounds = 5

// settle decides on projects and makes their rows agree. It returns those that
// others changed all the while. An error is the database's absence: what it refuses
// of one project is put off, and the others are written.
func (f *Follower) settle(ctx context.Context, batch []*task) (left []*task, err error) {
	for range rounds {
		if batch, err = f.settleOnce(ctx, batch); err != nil || len(batch) == 0 {
			return nil, err
		}
		known, err := f.cfg.Store.KnownProjects(ctx, names(batch))
		if err != nil {
			return nil, err
		}
		// What was said or written meanwhile may be newer than the page: it is read again.
		batch = slices.DeleteFunc(batch, func(it *task) bool {
			before := it.known
			it.known = knownAs(known, it.name())
			return outdated(it, before)
		})
	}
	return batch, nil
}

// outdated says whether something newer was heard or written than what was read, by a
// master that followed before us or that has taken over. Before is what was known when
// it was decided on.
func outdated(it *task, before store.Known) bool {
	switch p := it.project; {
	case p != nil:
		// One that is older than what was known then was believed in spite of it.
		return !it.partly && unsure(it, *p) || p.Serial > 0 && it.known.Serial > max(p.Serial, before.Serial)
	case it.gone: // that it is there is newer
		return it.known.Serial > before.Serial || before.ID == 0 && it.known.ID != 0
	}
	return false
}

// settleOnce returns those that others changed meanwhile.
func (f *Follower) settleOnce(ctx context.Context, batch []*task) (changed []*task, err error) {
	changed, err = f.agreeOn(ctx, batch)
	if err == nil || ctx.Err() != nil {
		return changed, err
	}
	// Is it the database that is away, or what it is told? Then each by itself: one
	// must not keep the others from being written.
	if f.cfg.Store.Ping(ctx) != nil {
		return nil, err
	}
	if len(batch) == 1 {
		f.blame(ctx, batch[0], err)
		return nil, nil
	}
	for _, it := range batch {
		again, err := f.settleOnce(ctx, []*task{it})
		if err != nil {
			return nil, err
		}
		changed = append(changed, again...)
	}
	return changed, nil
}

// agreeOn decides on a batch and writes it in one transaction.
func (f *Follower) agreeOn(ctx context.Context, batch []*task) (changed []*task, err error) {
	skips, err := f.cfg.Store.Skips(ctx, names(batch))
	if err != nil {
		return nil, err
	}
	f.stage.mu.RLock()
	defer f.stage.mu.RUnlock()
	d := decided{by: map[string]*task{}}
	env := f.stage.environment(f.cfg.Policy, skips, f.now())
	for _, it := range batch {
		if err := d.add(it, env); err != nil {
			f.blame(ctx, it, err)
		}
	}
	out, err := f.cfg.Store.Agree(ctx, d.agreements, d.done)
	if err != nil {
		return nil, err
	}
	// The rows agree, and the names are off the list: who is killed here has nothing
	// to do again.
	crash.At(crash.IngestAgreed)
	if out.Queued+out.Releases+out.Removed+out.Aborted > 0 {
		f.log.WithLevel(worth(batch, out)).Int("packages", len(d.by)).Int64("releases", out.Releases).Int64("queued", out.Queued).
			Int64("removed", out.Removed).Int64("aborted", out.Aborted).Msg("agreed with the upstream")
	}
	for _, it := range batch {
		switch {
		case slices.Contains(out.Changed, it.name()):
			changed = append(changed, it)
		case it.gone:
			f.spelled.remember(it)
		case !it.partly:
			f.spelled.forget(it.name(), it.heard)
		}
	}
	return changed, nil
}

// worth is how loudly a batch is told. A walk over a whole upstream, or a plan, has tens
// of thousands: its begin and end are told, and in between only what is taken down.
func worth(batch []*task, out store.Agreed) zerolog.Level {
	news := func(it *task) bool { return !it.planned && it.reading.Urgency != farm.UrgencyWalk }
	if out.Removed+out.Aborted > 0 || slices.ContainsFunc(batch, news) {
		return zerolog.InfoLevel
	}
	return zerolog.DebugLevel
}

// blame puts off a project of which nothing can be written. It is a fault of ours
// or of its data, and stays visible until it is mended.
func (f *Follower) blame(ctx context.Context, it *task, reason error) {
	f.log.Error().Err(reason).Str("package", it.name()).Msg("project not written")
	f.faults.count("not-written", reason.Error())
	if !it.planned {
		f.putOff(ctx, it, doubled(4*f.times.unread, f.times.badMost, 2*it.reading.Tries), reason.Error())
	}
}

func names(batch []*task) []string {
	list := make([]string, len(batch))
	for i, it := range batch {
		list[i] = it.name()
	}
	return list
}

// decided are the agreements of a batch.
type decided struct {
	agreements []store.Agreement
	done       []store.Reading
	by         map[string]*task
}

func (d *decided) add(it *task, env Environment) error {
	if it.known.ID != 0 || it.project != nil { // else asked for, and not there
		a, err := it.agreement(env)
		if err != nil {
			return err
		}
		d.agreements = append(d.agreements, a)
		d.by[it.name()] = it
	}
	if !it.planned && !it.partly {
		d.done = append(d.done, it.reading)
	}
	return nil
}

// agreement decides on one project.
func (it *task) agreement(env Environment) (a store.Agreement, err error) {
	defer func() {
		if v := recover(); v != nil { // of this one project's facts; others must not suffer
			err = fmt.Errorf("decide on %s: %v", it.name(), v)
		}
	}()
	switch {
	case it.gone:
		return store.Agreement{Known: it.known, Facts: it.known.ProjectFacts, Gone: true}, nil
	case it.unchanged:
		// The page is what it was, but time has passed: a release is not new for ever.
		a := agree(it.known, nil, env, it.known.Followed)
		a.Facts.Serial, a.Unread = max(a.Facts.Serial, it.reading.Serial), false
		if w := it.heard.name; w != "" && w != a.Facts.Display { // the page was newer than what had been heard
			a.Facts.Display, a.Page = w, true
		}
		return a, nil
	case it.planned:
		return agree(it.known, nil, env, it.known.Followed), nil
	case it.partly:
		return partly(it.known, it.project, env, it.known.Followed || it.reading.Follow), nil
	}
	a = agree(it.known, it.project, env, it.known.Followed || it.reading.Follow)
	if it.project != nil && it.project.Serial <= 0 {
		// Pages without a serial, as a proxy's, of projects whose list has one: without the
		// list's word every walk would find all of them changed.
		a.Facts.Serial = max(it.known.Serial, it.reading.Serial)
	}
	return a, nil
}
