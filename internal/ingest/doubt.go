package ingest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"pinwheel/internal/pypi"
	"pinwheel/internal/store"
)

// What an answer is doubted for: one that is not believed at once, since caches and
// broken fronts give it too. It begins the trouble of the project, by which the next
// try knows how often it came in a row. Other troubles in between do not count: an
// upstream that was away all night makes no cache's page truer.
const (
	oldAnswer   = "an old answer"
	stillCached = "the list of names lacks it, and a cache still has its page"
	notThere    = "the upstream does not have it any more; it is asked once more before that is believed"
	emptyPage   = "the upstream's page names none of its files any more; it is asked once more before that is believed"
)

// inARow is how often in a row the last tries ended with this doubt.
func inARow(rd store.Reading, doubt string) int {
	if !strings.HasPrefix(rd.Trouble, doubt) {
		return 0
	}
	return rd.Tries // since it was last asked for
}

// doubt has a project asked for again after a pause, since the answer may be none of
// the upstream's; words say more of it.
func (r *reader) doubt(ctx context.Context, it *task, pause time.Duration, doubt string, words ...string) {
	it.reading.Tries = inARow(it.reading, doubt)
	r.putOff(ctx, it, pause, strings.Join(append([]string{doubt}, words...), ": "))
}

// old doubts an answer that is older than what was announced.
func (r *reader) old(ctx context.Context, it *task, err error) {
	r.doubt(ctx, it, step(r.times.stale, inARow(it.reading, oldAnswer)), oldAnswer, err.Error())
}

// wanted is the serial that an answer must have. One that was announced and shows
// on no page is given up some time; one that we have seen is not, or an old cache
// would undo what is known, unless the upstream itself went back.
func (r *reader) wanted(it *task) int64 {
	switch {
	case r.wentBack(it):
		return it.reading.Serial
	case r.givenUp(it):
		return it.known.Serial
	}
	return max(it.reading.Serial, it.known.Serial)
}

// wentBack says whether a project's serial is below ours for good, as after a restore
// of the upstream from a backup: the last word on the project says so, which is the list
// of names', and its page does too, for as long as old pages are doubted. A page that is
// doubted for being empty has been through that. A list and a page that were both old
// are set right by the next list.
func (r *reader) wentBack(it *task) bool {
	rd := it.reading
	return rd.Serial > 0 && rd.Serial < it.known.Serial && (r.givenUp(it) || inARow(rd, emptyPage) > 0)
}

func (r *reader) givenUp(it *task) bool { return inARow(it.reading, oldAnswer) >= len(r.times.stale) }

// ghost says whether a page may be a cache's, of a project that the list of names
// lacks. Of those that are there it lacks the quarantined only. It is asked for a few
// times more before it is believed: nothing else would tell that the project is gone.
func (r *reader) ghost(it *task, status string) bool {
	rd := it.reading
	return rd.Gone && rd.Serial == 0 && status != statusQuarantined && inARow(rd, stillCached) < len(r.times.stale)
}

// missing judges a 404. One that was announced is believed; one that was not may
// come from a cache or a broken front, so it must be seen twice, and is a fault.
func (r *reader) missing(ctx context.Context, it *task, err error) bool {
	if !it.reading.Gone {
		r.faults.count(string(pypi.NotFound), err.Error())
	}
	switch {
	case it.known.ID == 0 && it.reading.Gone:
		return true // nothing to write but that it was read
	case r.remembered(it):
		r.old(ctx, it, err)
		return false
	case it.known.ID == 0:
		return true
	}
	it.gone = true
	return it.reading.Gone || r.lost(ctx, it, notThere)
}

// remembered says whether a 404 may be a cache's memory: the last word on the project
// is newer than all that the farm has of it, and is not that it is gone. So it is with
// one that was just created, also in the place of one that was removed.
func (r *reader) remembered(it *task) bool {
	rd := it.reading
	return !rd.Gone && rd.Serial > it.known.Serial && inARow(rd, notThere) == 0 && inARow(rd, oldAnswer) < len(r.times.stale)-2
}

// lost judges an answer that takes everything of a known project away, though nobody
// announced it: only the second such answer is believed, and only of a few projects.
func (r *reader) lost(ctx context.Context, it *task, how string) bool {
	if inARow(it.reading, how) == 0 {
		r.doubt(ctx, it, r.times.twice, how)
		return false
	}
	if !r.mass.take(r.now()) {
		text := fmt.Sprintf("more than %d known projects are not there any more, and nobody announced it: too many to be believed", massLimit)
		r.faults.count("names-missing", text)
		r.doubt(ctx, it, massWindow, how)
		return false
	}
	r.log.Info().Str("package", it.name()).Msg("the upstream has nothing of it any more, though it did not say so")
	return true
}

// emptied says whether a page lacks all files of a project that had some, and does
// not say itself that something has changed since: that is how a mirror answers that
// has lost its own upstream, or whose addresses are of another shape.
func emptied(known store.Known, p pypi.Project) bool {
	had := func(r store.KnownRelease) bool { return hadFiles(&r) && !r.Quarantined }
	return p.Status != statusQuarantined && p.Serial <= known.Serial && slices.ContainsFunc(known.Releases, had) &&
		!slices.ContainsFunc(p.Releases, func(r pypi.Release) bool { return !empty(r) })
}
