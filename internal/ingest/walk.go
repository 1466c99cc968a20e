package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"pinwheel/internal/crash"
	"pinwheel/internal/farm"
	"pinwheel/internal/pypi"
	"pinwheel/internal/service"
	"pinwheel/internal/store"
)

// The kinds of walks over the list of names.
const (
	WalkBackfill = "backfill" // every name that the upstream has; people ask for it
	walkGap      = "gap"      // in place of a changelog
	walkNightly  = "nightly"  // mends what events missed
)

// sinceSetting keeps the serial at which the farm began to follow. Projects that
// it does not know and that have not changed since are no gap: they come with a
// backfill, which sets it to 0.
const sinceSetting = store.SinceSetting

const (
	agedAtOnce = 5_000     // projects put on the list by one look at their age
	agedByHand = time.Hour // where nothing says what changed
	walkLook   = 10 * time.Second
	walksKept  = 100 // looked at for the last of a kind
)

// walks does the walks that have begun, until ctx ends: each is listed once, and
// has ended when the reader has nothing of it left.
func (f *Follower) walks(ctx context.Context) error {
	return service.Loop{Every: walkLook, Wake: f.look, Log: f.log, Do: f.walkRound}.Run(ctx)
}

func (f *Follower) walkRound(ctx context.Context) error {
	open, err := f.openWalks(ctx)
	if err != nil || len(open) == 0 {
		return err
	}
	var failed []error
	for _, w := range open {
		if w.Listed != nil || ctx.Err() != nil {
			continue
		}
		if _, err := f.list(ctx, w, ""); err != nil {
			failed = append(failed, unlessResting(err), f.notListed(ctx, w, err))
		}
	}
	// A walk that cannot begin keeps none from ending.
	return errors.Join(append(failed, f.endWalks(ctx))...)
}

// unlessResting is the error of a list, but for one that was told already and is only
// not asked for again yet.
func unlessResting(err error) error {
	if errors.Is(err, errResting) {
		return nil
	}
	return err
}

// notListed tells people why a walk does not begin. It is tried again, but a
// backfill only where the upstream may have a list: who says twice that there is none
// is believed; who refuses it may be busy.
func (f *Follower) notListed(ctx context.Context, w store.Walk, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	text := short(err.Error())
	switch kind := pypi.FaultOf(err); {
	case errors.Is(err, errResting):
		return nil
	case w.Kind != WalkBackfill:
	case w.Trouble != text: // once, it may be a front that is broken
	case kind == pypi.NotFound, kind == pypi.NotIndex:
		return f.cfg.Store.EndWalk(ctx, w.ID, text)
	}
	return f.cfg.Store.NoteWalk(ctx, w.ID, text)
}

// openWalks are those whose names are to be listed or read; the gap's list is the
// poll's own, which is at it.
func (f *Follower) openWalks(ctx context.Context) ([]store.Walk, error) {
	all, err := f.cfg.Store.Walks(ctx, walksKept)
	if err != nil {
		return nil, err
	}
	var open []store.Walk
	for _, w := range all {
		if w.Ended == nil && w.Kind != store.KindPlan && (w.Kind != walkGap || w.Listed != nil) {
			open = append(open, w)
		}
	}
	return open, nil
}

// endWalks ends what was listed and has been read. What is troubled is tried again
// for days; the walk has done its part.
func (f *Follower) endWalks(ctx context.Context) error {
	open, err := f.openWalks(ctx)
	if err != nil || len(open) == 0 {
		return err
	}
	if more, err := f.cfg.Store.StillToRead(ctx, farm.UrgencyWalk); err != nil || more {
		return err
	}
	for _, w := range open {
		if w.Listed == nil {
			continue
		}
		if err := f.cfg.Store.EndWalk(ctx, w.ID, w.Trouble); err != nil {
			return err
		}
		f.log.Info().Str("walk", w.Kind).Int64("names", w.Total).Int64("chosen", w.Chosen).Msg("walk ended")
	}
	return nil
}

// Backfill walks over every name that the upstream has, and returns when all of
// them were read, or could not be. A follower that runs beside it, in this process
// or another, does the work; without one, it does so itself. It can be ended at any
// time: the next one, and every follower, goes on where it was. Told, which may be
// nil, hears now and then how far it has come.
func (f *Follower) Backfill(ctx context.Context, told func(store.Walk, []store.ReadingCount)) error {
	w, err := f.cfg.Store.BeginWalk(ctx, WalkBackfill)
	if err != nil {
		return err
	}
	working, end := context.WithCancel(ctx)
	defer end()
	err = service.RunAll(working,
		service.Part{Name: "work", Run: func(ctx context.Context) error { return f.lead(ctx, f.reading()) }},
		service.Part{Name: "watch", Run: func(ctx context.Context) error {
			defer end()
			return f.watch(ctx, w.ID, told)
		}},
	)
	return cmp.Or(err, ctx.Err())
}

// watch returns when a walk has ended.
func (f *Follower) watch(ctx context.Context, id int64, told func(store.Walk, []store.ReadingCount)) error {
	for ctx.Err() == nil {
		all, err := f.cfg.Store.Walks(ctx, walksKept)
		if err != nil {
			return err
		}
		left, err := f.cfg.Store.ReadingLeft(ctx)
		if err != nil {
			return err
		}
		for _, w := range all {
			if w.ID != id {
				continue
			}
			if told != nil {
				told(w, left)
			}
			if w.Ended != nil {
				return nil
			}
		}
		service.Sleep(ctx, f.times.watch)
	}
	return ctx.Err()
}

// gap compares the list of names with what the farm knows, in place of the
// changelog. A list that has not changed is not read again.
func (f *Follower) gap(ctx context.Context) (pypi.NamesInfo, error) {
	at, err := f.cfg.Store.Following(ctx)
	if err != nil {
		return pypi.NamesInfo{}, err
	}
	if _, begun, err := f.since(ctx); err != nil || !begun {
		return f.firstList(ctx, err)
	}
	w, err := f.cfg.Store.BeginWalk(ctx, walkGap)
	if err != nil {
		return pypi.NamesInfo{}, err
	}
	info, err := f.list(ctx, w, at.NamesETag)
	switch {
	case errors.Is(err, pypi.ErrUnchanged):
		// Its ETag is kept only of lists that were taken whole, and had serials.
		return pypi.NamesInfo{Serials: true}, f.cfg.Store.EndWalk(ctx, w.ID, "")
	case err != nil && ctx.Err() == nil: // it stays open: people are told what it waits for
		err = errors.Join(err, f.cfg.Store.NoteWalk(ctx, w.ID, short(err.Error())))
	}
	return info, err
}

// firstList begins to follow where there is only a list of names.
func (f *Follower) firstList(ctx context.Context, err error) (pypi.NamesInfo, error) {
	if err != nil {
		return pypi.NamesInfo{}, err
	}
	var highest int64 // not every list tells a serial of its own
	info, err := f.cfg.Index.Names(ctx, "", func(p pypi.Listed) error {
		highest = max(highest, p.Serial)
		return nil
	})
	if err != nil || !info.Serials {
		return info, err
	}
	begin := cmp.Or(info.Serial, highest)
	return info, f.beginAt(ctx, begin, begin)
}

// since is the serial at which the farm began to follow; begun says if it has.
func (f *Follower) since(ctx context.Context) (serial int64, begun bool, err error) {
	text, err := f.cfg.Store.Settled(ctx, sinceSetting)
	if err != nil || text == "" {
		return 0, false, err
	}
	serial, err = strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, false, fmt.Errorf("the setting %s is %q: %w", sinceSetting, text, err)
	}
	return serial, true, nil
}

// list puts what a walk finds on the list of what is to be read.
func (f *Follower) list(ctx context.Context, w store.Walk, etag string) (pypi.NamesInfo, error) {
	limits := store.MissingLimit{}
	if w.Kind != WalkBackfill {
		since, _, err := f.since(ctx)
		if err != nil {
			return pypi.NamesInfo{}, err
		}
		limits.Since = since
	}
	var info pypi.NamesInfo
	out, err := f.cfg.Store.ListNames(ctx, true, f.names(ctx, etag, &info), limits)
	if err != nil {
		return info, err
	}
	trouble := ""
	if out.Refused > 0 {
		trouble = fmt.Sprintf("%d known projects are not in the upstream's list: too many to be believed", out.Refused)
		f.faults.count("names-missing", trouble)
		f.log.Warn().Str("walk", w.Kind).Int64("missing", out.Refused).Msg("the upstream's list of names lacks too many known projects; none of them is removed")
	} else if !info.Serials && w.Kind == WalkBackfill {
		trouble = "the upstream's list has no serials: only projects that the farm did not know are read"
	}
	if trouble != w.Trouble {
		if err := f.cfg.Store.NoteWalk(ctx, w.ID, trouble); err != nil {
			return info, err
		}
	}
	f.log.Info().Str("walk", w.Kind).Int64("names", out.Total).Int64("chosen", out.Chosen).Int64("missing", out.Missing).Msg("names listed")
	f.spelled.listed(info.Serial)
	wake(f.wake)
	crash.At(crash.IngestListed)
	if err := f.listed(ctx, w, info, out); err != nil {
		return info, err
	}
	// This comes last, for a walk that is listed is not listed again.
	return info, f.cfg.Store.WalkListed(ctx, w.ID, out)
}

// listed keeps what a whole list is worth. It comes after the names are on the
// worklist, so that a crash before it only lists them again.
func (f *Follower) listed(ctx context.Context, w store.Walk, info pypi.NamesInfo, out store.ListedNames) error {
	if w.Kind == WalkBackfill {
		// Nothing is left out any more. If the farm did not follow before, events tell
		// what changes from this list on.
		_, begun, err := f.since(ctx)
		if err != nil {
			return err
		}
		if begun || info.Serial == 0 {
			return f.cfg.Store.Settle(ctx, sinceSetting, "0")
		}
		return f.beginAt(ctx, info.Serial, 0)
	}
	if w.Kind != walkGap || !info.Serials || out.Refused > 0 {
		return nil
	}
	at, err := f.cfg.Store.Following(ctx)
	if err != nil {
		return err
	}
	// A changelog that only does not answer now goes on where it was heard last: it
	// alone tells which releases are held back, and not gone.
	if !at.Changelog {
		if err := f.cfg.Store.SetSerial(ctx, info.Serial); err != nil && !errors.Is(err, farm.ErrConflict) {
			return err
		}
	}
	return f.cfg.Store.SetNamesETag(ctx, info.ETag)
}

// names streams the list; one that is cut off yields an error at its end.
func (f *Follower) names(ctx context.Context, etag string, info *pypi.NamesInfo) iter.Seq2[store.NameSerial, error] {
	errEnough := errors.New("the list is wanted no further")
	return func(yield func(store.NameSerial, error) bool) {
		var err error
		*info, err = f.cfg.Index.Names(ctx, etag, func(p pypi.Listed) error {
			if !yield(store.NameSerial(p), nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(store.NameSerial{}, err)
		}
	}
}

// byTheClock begins the nightly walk and looks for projects that were not read for
// long, until ctx ends.
func (f *Follower) byTheClock(ctx context.Context) error {
	return service.Loop{Every: f.times.aged, Log: f.log, Do: f.clockRound}.Run(ctx)
}

func (f *Follower) clockRound(ctx context.Context) error {
	n, err := f.cfg.Store.Age(ctx, f.cfg.Reread, agedAtOnce)
	if err != nil {
		return err
	}
	if n > 0 {
		f.log.Info().Int64("packages", n).Msg("projects not read for long are read again")
		wake(f.wake)
	}
	if err := f.newNoMore(ctx); err != nil {
		return err
	}
	at, err := f.cfg.Store.Following(ctx)
	if err != nil || at.Source != sourceChangelog {
		return err // without a changelog, names are compared all day
	}
	all, err := f.cfg.Store.Walks(ctx, walksKept)
	if err != nil || !nightDue(f.now(), f.cfg.Nightly, all) {
		return err
	}
	if _, err := f.cfg.Store.BeginWalk(ctx, walkNightly); err != nil {
		return err
	}
	wake(f.look)
	return nil
}

// nightDue says whether a night has come since the last nightly walk. Without one,
// the first night is that which begins within this look's hour.
func nightDue(now time.Time, at time.Duration, walks []store.Walk) bool {
	y, m, d := now.Date()
	night := time.Date(y, m, d, 0, 0, 0, 0, now.Location()).Add(at)
	if night.After(now) {
		night = time.Date(y, m, d-1, 0, 0, 0, 0, now.Location()).Add(at)
	}
	for _, w := range walks {
		if w.Kind == walkNightly {
			return w.Began.Before(night)
		}
	}
	return now.Sub(night) < 2*time.Hour
}
