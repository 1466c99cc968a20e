package dispatch

import (
	"context"
	"time"
)

// sweeper knows when a deadline that has passed says something of the slave, and
// not of us.
type sweeper struct {
	lease time.Duration
	now   func() time.Time
	ping  func(context.Context) error // the database
	wire  func() bool                 // can slaves reach us?
	take  func(context.Context) error // what has expired

	last  time.Time // when the world was last looked at
	away  bool      // it was not all there then
	until time.Time // nothing is taken before
}

func newSweeper(lease time.Duration, now func() time.Time) *sweeper {
	at := wall(now)
	return &sweeper{
		lease: lease, now: now, wire: func() bool { return true }, last: at, until: at.Add(lease),
	}
}

// wall is the time of the wall clock alone: unlike the monotonic one it goes on
// while a machine is suspended, as the deadlines do.
func wall(now func() time.Time) time.Time { return now().Round(0) }

// round looks at the world, and takes what has expired if slaves had a whole
// lease to renew since something of it was last away. An outage is over when it
// is seen to be, not when it was last felt: pauses between failed rounds are long.
func (s *sweeper) round(ctx context.Context) error {
	err := s.ping(ctx)
	at := wall(s.now)
	gap := at.Sub(s.last)
	s.last = at
	if err != nil || !s.wire() {
		s.away = true
		return err
	}
	// A process that was stopped, a machine that slept, a database that hung: each
	// shows as time that went by without a round. A third of a lease is how often
	// slaves renew, so what is shorter did no harm; a clock set back tells nothing.
	if s.away || gap > s.lease/3 || gap < 0 {
		s.away, s.until = false, at.Add(s.lease)
	}
	if at.Before(s.until) {
		return nil
	}
	if err := s.take(ctx); err != nil {
		s.away = true
		return err
	}
	return nil
}
