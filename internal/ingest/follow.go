package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"pinwheel/internal/crash"
	"pinwheel/internal/farm"
	"pinwheel/internal/pypi"
	"pinwheel/internal/store"
)

// The sources of what changed upstream.
const (
	sourceChangelog = "changelog"
	sourceSerials   = "serials" // of the list of names
	sourceNone      = "none"
)

// noSource is what people are told when nothing upstream says what changed.
const noSource = "no event source: the upstream has neither a changelog nor serials; only packages named by hand are followed"

// poller is the poll's memory between two rounds.
type poller struct {
	*Follower
	source  string
	retry   time.Time // when the changelog is asked next
	good    time.Time // when it last answered, or a walk stood in for it
	absent  bool      // it said that it is none
	pause   growing
	mute    time.Time // since when it does not answer
	behind  time.Time // since when the upstream's serial is below ours
	checked time.Time
	warned  bool
	silence silence
	noGap   bool // no walk in place of the changelog was left half begun
}

// silence is what a changelog keeps from us that has more than it tells.
type silence struct {
	heard bool
	since int64 // our serial at that time
	err   error // it was so twice: what happened just then would have been told by now
}

// poll asks what changed, until ctx ends.
func (f *Follower) poll(ctx context.Context) error {
	p := &poller{Follower: f, pause: growing{first: f.times.firstPause, most: f.times.longPause}, good: f.now()}
	for wait := jitter(f.cfg.Poll/10, 1); sleep(ctx, wait, nil); {
		wait = p.round(ctx)
	}
	return ctx.Err()
}

// round asks the changelog when it is due, and walks over the names when it has
// not answered for so long that this is all there is. It returns the pause until
// the next round.
func (p *poller) round(ctx context.Context) time.Duration {
	if !p.now().Before(p.retry) {
		full, err := p.changes(ctx)
		if err == nil {
			p.heard(ctx, sourceChangelog, "")
			p.endGap(ctx)
			p.answers()
			p.good, p.absent = p.now(), false
			p.pause.reset()
			p.retry = p.now()
			if !full { // else there is more
				p.retry = p.now().Add(jitter(p.cfg.Poll, 10))
			}
		} else if ctx.Err() == nil {
			p.failed(ctx, err)
		}
	}
	walk := p.good.Add(p.cfg.WalkEvery)
	if ctx.Err() == nil && !p.now().Before(walk) {
		p.walkInstead(ctx)
		walk = p.good.Add(p.cfg.WalkEvery)
	}
	return max(0, min(p.retry.Sub(p.now()), walk.Sub(p.now())))
}

// endGap ends a walk in place of the changelog whose list was never taken, by us or
// by a process that was killed over it: the changelog tells what it would have, and
// what kept the list from us is no trouble any more.
func (p *poller) endGap(ctx context.Context) {
	if p.noGap {
		return
	}
	all, err := p.cfg.Store.Walks(ctx, walksKept)
	for _, w := range all {
		if w.Kind == walkGap && w.Ended == nil && w.Listed == nil {
			err = errors.Join(err, p.cfg.Store.EndWalk(ctx, w.ID, ""))
		}
	}
	p.noGap = err == nil
	if err != nil && ctx.Err() == nil {
		p.log.Error().Err(err).Msg("a walk in place of the changelog not ended")
	}
}

// away is an error of the upstream, as opposed to one of the database.
type away struct{ error }

func (a away) Unwrap() error { return a.error }

// after is for how long the upstream wants to be left alone, within reason.
func after(err error, most time.Duration) time.Duration { return min(pypi.After(err), most) }

// failed keeps what went wrong and when the changelog is asked again.
func (p *poller) failed(ctx context.Context, err error) {
	var upstream away
	p.faults.note(err)
	switch {
	case !errors.As(err, &upstream):
		p.log.Error().Err(err).Msg("the changelog's effects not written")
		p.retry = p.now().Add(p.pause.next())
		return
	case errors.Is(err, pypi.ErrNoChangelog):
		// Said once, it may be the word of a broken front; said again an hour later, what
		// only a changelog tells will not be told any more.
		if p.absent {
			if err := p.cfg.Store.NoChangelog(ctx); err != nil && ctx.Err() == nil {
				p.log.Error().Err(err).Msg("state of the upstream not written")
			}
		}
		p.retry = p.now().Add(jitter(p.times.absent, 10))
		if !p.absent {
			p.log.Warn().Err(err).Msg("no changelog upstream: following by the serials of the list of names")
			p.absent, p.good = true, p.now().Add(-p.cfg.WalkEvery)
		}
	default:
		p.retry = p.now().Add(max(p.pause.next(), after(err, p.times.absent)))
		p.log.Warn().Err(err).Time("again_at", p.retry).Msg("the changelog does not answer")
		if p.mute.IsZero() {
			p.mute = p.now()
		}
	}
	p.heard(ctx, p.source, err.Error())
}

// answers ends what failed began to tell: else nobody knows from a log that it is over.
func (p *poller) answers() {
	if !p.mute.IsZero() {
		p.log.Info().Time("since", p.mute).Msg("the changelog answers again")
	}
	p.mute = time.Time{}
}

// heard shows people how it stands with the upstream.
func (p *poller) heard(ctx context.Context, source, trouble string) {
	if source != p.source {
		p.log.Info().Str("source", source).Msg("following the upstream")
		p.source = source
	}
	if trouble == "" && p.warned {
		trouble = p.behindWords()
	}
	if err := p.cfg.Store.HeardUpstream(ctx, source, short(trouble)); err != nil && ctx.Err() == nil {
		p.log.Error().Err(err).Msg("state of the upstream not written")
	}
}

// changes asks for one page of the changelog and puts what it names on the list;
// full says that there is more.
func (p *poller) changes(ctx context.Context) (full bool, err error) {
	at, err := p.cfg.Store.Following(ctx)
	if err != nil {
		return false, err
	}
	p.source = cmp.Or(p.source, at.Source)
	if _, begun, err := p.since(ctx); err != nil || !begun {
		if err == nil {
			err = p.first(ctx, at.Serial)
		}
		return false, err
	}
	c, err := p.cfg.Index.Changes(ctx, at.Serial)
	if err != nil {
		return false, away{err}
	}
	if err := p.compare(ctx, at.Serial, c); err != nil {
		return false, err
	}
	if err := p.leap(ctx, at.Serial, c.Last); err != nil {
		return false, err
	}
	if c.Full && c.Last <= at.Serial {
		return false, away{fmt.Errorf("the changelog after serial %d does not go on: a full page of it ends at %d", at.Serial, c.Last)}
	}
	list := announced(c.Events, at.Serial)
	if len(list) == 0 && c.Last <= at.Serial {
		return false, nil
	}
	p.spelled.hear(c.Events, at.Serial)
	if _, err := p.cfg.Store.Announce(ctx, list, c.Last, holds(c.Events, at.Serial)...); err != nil {
		return false, err
	}
	// The names are on the list, and the serial has passed them: whoever comes next
	// reads them without being told again.
	crash.At(crash.IngestAnnounced)
	wake(p.wake)
	p.log.Debug().Int("events", len(c.Events)).Int("packages", len(list)).Int64("serial", c.Last).Msg("changes announced")
	return c.Full, nil
}

// first begins at the upstream's last word: what was before is a backfill's. Who was
// killed after he kept that word began there.
func (p *poller) first(ctx context.Context, serial int64) error {
	if serial > 0 { // 0 may be a beginning too
		return p.beginAt(ctx, serial, serial)
	}
	last, err := p.cfg.Index.LastSerial(ctx)
	if err != nil {
		return away{err}
	}
	return p.beginAt(ctx, last, last)
}

// beginAt begins to follow after a serial; what has not changed since another one
// is left out of walks.
func (f *Follower) beginAt(ctx context.Context, serial, since int64) error {
	if err := f.cfg.Store.SetSerial(ctx, serial); err != nil && !errors.Is(err, farm.ErrConflict) {
		return err
	}
	if since > 0 {
		f.log.Info().Int64("serial", serial).Msg("following from now on; releases of before come with `master backfill`")
	}
	// This comes last, for it says that the farm has begun.
	return f.cfg.Store.Settle(ctx, sinceSetting, fmt.Sprint(since))
}

// announced makes one row of all events of a project: the newest word says
// whether it is gone.
func announced(events []pypi.Event, since int64) []store.Reading {
	at := map[string]int{}
	var list []store.Reading
	for _, e := range events {
		if e.Serial <= since {
			continue // said before
		}
		i, ok := at[e.Name]
		if !ok {
			i = len(list)
			at[e.Name] = i
			list = append(list, store.Reading{Name: e.Name, Urgency: farm.UrgencyEvent, Follow: true})
		}
		if r := &list[i]; e.Serial >= r.Serial {
			r.Serial, r.Gone = e.Serial, e.Action == "remove project" || e.Action == "remove"
		}
	}
	return list
}

// compare notices an upstream whose serials went back, as after a restore from a
// backup: what it says then is on no page of ours until it has caught up.
func (p *poller) compare(ctx context.Context, since int64, c pypi.Changes) error {
	if c.Last > since {
		p.behind, p.warned, p.silence = time.Time{}, false, silence{}
		return nil
	}
	if p.silence.since != since {
		p.silence = silence{} // a walk over the names has brought us on
	}
	if p.now().Sub(p.checked) < p.times.behindCheck {
		return p.silence.err
	}
	last, err := p.cfg.Index.LastSerial(ctx)
	if err != nil {
		return away{err}
	}
	p.checked = p.now()
	if last >= since {
		p.behind, p.warned = time.Time{}, false
		return p.silent(since, last)
	}
	p.faults.count("serial-back", fmt.Sprintf("the upstream's serial is %d, ours %d", last, since))
	if p.behind.IsZero() {
		p.behind = p.now()
	}
	if !p.warned && p.now().Sub(p.behind) >= p.times.behindSaid {
		p.warned = true
		p.log.Warn().Int64("upstream", last).Int64("serial", since).Msg(p.behindWords())
	}
	return nil
}

// farAhead is much further than a page of the changelog goes on, in serials.
const farAhead = 1_000_000

// leap refuses a serial that is beyond the upstream's last one: ours would never come
// back from there, and nothing would ever be new.
func (p *poller) leap(ctx context.Context, since, to int64) error {
	if to-since < farAhead {
		return nil
	}
	last, err := p.cfg.Index.LastSerial(ctx)
	if err != nil {
		return away{err}
	}
	if to <= last {
		return nil
	}
	text := fmt.Sprintf("the changelog leads from serial %d to %d, though its last one is %d", since, to, last)
	p.faults.count("serial-leap", text)
	return away{errors.New(text)}
}

// silent judges a changelog that told nothing after a serial that is not its last:
// a front that keeps an old answer, or events of a shape that nobody knows. It is as
// good as none, and the names are compared in its place.
func (p *poller) silent(since, last int64) error {
	switch {
	case last == since:
		p.silence = silence{}
	case !p.silence.heard:
		p.silence = silence{heard: true, since: since}
	default:
		text := fmt.Sprintf("the changelog tells nothing after serial %d, though its last one is %d", since, last)
		p.silence.err = away{errors.New(text)}
		p.faults.count("silent-changelog", text)
	}
	return p.silence.err
}

func (p *poller) behindWords() string {
	return "the upstream's serial went back at " + p.behind.UTC().Format(time.RFC3339) +
		": new releases are noticed by the nightly walk until it has caught up"
}

// walkInstead compares the list of names, where the changelog does not answer.
func (p *poller) walkInstead(ctx context.Context) {
	p.noGap = false
	listed, err := p.gap(ctx)
	if ctx.Err() != nil {
		return
	}
	p.good = p.now() // a failed walk too is not begun again at once
	p.faults.note(err)
	switch {
	case err != nil:
		p.log.Warn().Err(err).Msg("names not compared")
		p.heard(ctx, p.source, err.Error())
	case !listed.Serials:
		p.heard(ctx, sourceNone, noSource)
		p.good = p.good.Add(p.times.absent - p.cfg.WalkEvery) // the list says little for its size
		// Nothing says what changed, so what is known is asked for, in turns.
		if _, err := p.cfg.Store.Age(ctx, agedByHand, agedAtOnce); err != nil {
			p.log.Error().Err(err).Msg("known projects not listed")
		}
	default:
		p.heard(ctx, sourceSerials, "")
	}
	wake(p.wake)
}
