package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/service"
	"pinwheel/internal/store"
)

// fillState is how far a backfill is.
type fillState struct {
	begun    bool  // the list of names is on the worklist
	listed   int64 // names
	chosen   int64 // of these, to be read
	left     int64 // of these, not read yet
	troubled int64 // of those that are left, not readable the last time
	queued   int64 // jobs that wait for a slave
	trouble  string
	ended    bool
}

func (s fillState) read() int64 { return max(0, s.chosen-s.left) }

// watch shows how far it is, and returns when nothing is left but what has to be
// tried again later.
func (b *backfill) watch(ctx context.Context) error {
	var pause time.Duration
	for first := true; first || service.Sleep(ctx, pause); first = false {
		began := time.Now()
		err := b.look(ctx)
		if err != nil && ctx.Err() == nil {
			b.log.Error().Err(err).Msg("how far it is, is not known") // the database comes back by itself
		}
		if err == nil {
			if b.now.ended && !b.now.begun {
				return fmt.Errorf("%s", strings.TrimPrefix(b.now.trouble, "take the list of names: "))
			}
			if b.now.ended {
				return nil
			}
			b.view.show(b.now)
		}
		// A large worklist takes long to count; that must not be what we do.
		pause = max(b.tick, 20*time.Since(began))
	}
	return ctx.Err()
}

// look asks the database for the state. Whether it has ended comes first: what is
// counted after the end is final.
func (b *backfill) look(ctx context.Context) error {
	next := b.now
	if b.from != "" {
		more, err := b.st.StillToRead(ctx, farm.UrgencyWalk)
		if err != nil {
			return err
		}
		next.ended = !more
	} else if err := b.lookAtWalk(ctx, &next); err != nil {
		return err
	}
	left, err := b.st.ReadingLeft(ctx)
	if err != nil {
		return err
	}
	next.left, next.troubled = 0, 0
	for _, c := range left {
		switch {
		case c.Urgency == farm.UrgencyWalk:
			next.left, next.troubled = next.left+c.Count, next.troubled+c.Troubled
		case c.Urgency == farm.UrgencyEvent && b.from == "": // the walk chose most of them too, and left them on the list as they were
			kept := min(c.Troubled, max(0, next.chosen-next.left))
			next.left, next.troubled = next.left+kept, next.troubled+kept
		}
	}
	if b.from != "" {
		next.chosen = max(next.chosen, next.left) // other walks may have some too
	}
	if next.queued, err = b.st.QueueLength(ctx); err != nil {
		return err
	}
	b.now = next
	return nil
}

func (b *backfill) lookAtWalk(ctx context.Context, next *fillState) error {
	walks, err := b.st.Walks(ctx, walksShown)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(walks, func(w store.Walk) bool { return w.ID == b.walk })
	if i < 0 {
		return errors.New("the backfill is not among the walks of this farm any more")
	}
	w := walks[i]
	next.begun, next.listed, next.chosen = w.Listed != nil, w.Total, w.Chosen
	next.trouble, next.ended = w.Trouble, w.Ended != nil
	return nil
}

// walksShown are more than can begin while one goes on.
const walksShown = 1000

// filled is what the command prints at its end, see docs/operations.md.
type filled struct {
	Schema   int      `json:"schema"`
	Done     bool     `json:"done"`     // all is read but what is troubled
	Listed   int64    `json:"listed"`   // names of the upstream, or of the file
	Chosen   int64    `json:"chosen"`   // of these: to be read, for they were new or had changed
	Read     int64    `json:"read"`     // of these
	Troubled int64    `json:"troubled"` // of these: not readable, and tried again later
	Queued   int64    `json:"queued"`   // jobs of the farm that wait for a slave
	Unknown  []string `json:"unknown"`  // names of the file that the upstream does not have
	BadLines int      `json:"bad_lines"`
	Trouble  string   `json:"trouble"` // of the list of names
}

func (b *backfill) result(unknown []string) filled {
	n := b.now
	return filled{
		Schema: 1, Done: n.ended, Listed: n.listed, Chosen: n.chosen, Read: n.read(), Troubled: n.troubled, Queued: n.queued,
		Unknown: append([]string{}, unknown...), BadLines: b.bad, Trouble: n.trouble,
	}
}

// ofFile looks at what became of the names of a file: which of them the upstream does
// not have, and how many could not be read, whoever put them on the worklist.
func (b *backfill) ofFile(ctx context.Context) (unknown []string, err error) {
	if b.from == "" {
		return nil, nil
	}
	b.now.left = 0
	for piece := range slices.Chunk(b.names, 10_000) {
		unread, err := b.st.Unread(ctx, piece)
		if err != nil {
			return nil, err
		}
		some, err := b.st.Unknown(ctx, piece)
		if err != nil {
			return nil, err
		}
		b.now.left += unread
		unknown = append(unknown, some...)
	}
	b.now.troubled = b.now.left
	return unknown, nil
}

func (b *backfill) report(ctx context.Context) error {
	unknown, err := b.ofFile(ctx)
	if err != nil {
		return err
	}
	r := b.result(unknown)
	if b.asJSON {
		return cli.JSON(b.out, r)
	}
	cli.Say(b.out, "%s listed, %s new or changed, %s of them read; %s for a slave",
		projects(r.Listed), grouped(r.Chosen), grouped(r.Read), counted(r.Queued, "job waits", "jobs wait"))
	if b.followed > 0 {
		cli.Say(b.out, "%s followed already", counted(b.followed, "project of the file was", "projects of the file were"))
	}
	if len(unknown) > 0 {
		cli.Say(b.out, "the upstream has no %s", someOf(unknown))
	}
	if r.Troubled > 0 {
		cli.Say(b.out, "%s could not be read; a running master tries them again, `master status` says why", projects(r.Troubled))
	}
	if r.Trouble != "" {
		cli.Say(b.out, "not believed: %s", r.Trouble)
	}
	return nil
}

// someOf names a few.
func someOf(names []string) string {
	const few = 8
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %s more", strings.Join(names[:few], ", "), grouped(int64(len(names)-few)))
}
