package store

import (
	"context"
	"fmt"
	"time"
)

// The channels of NOTIFY. One notification per transaction that changed
// something: notifying serialises commits.
const (
	QueueChannel = "farm_queue" // work was queued
	StaleChannel = "farm_stale" // a page is to be written; the payload is its scope

	ReadingChannel = "farm_reading" // a project is to be read from the upstream
)

// Listen calls got for every notification on channel until ctx ends, and once
// after each (re)connection, because what was said while nobody listened is
// lost. It returns only ctx's error: a database that is away is asked again.
func (s *Store) Listen(ctx context.Context, channel string, got func(payload string)) error {
	pause := time.Second
	for ctx.Err() == nil {
		started := time.Now()
		_ = s.listenOnce(ctx, channel, got) // the reason is the database's absence, which every other statement reports too
		if time.Since(started) > time.Minute {
			pause = time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, 3*time.Second) // short: what waits to be heard goes on when we are back
	}
	return ctx.Err()
}

func (s *Store) listenOnce(ctx context.Context, channel string, got func(string)) error {
	pooled, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", channel, err)
	}
	// Taken out of the pool: a connection that listens must not be lent to others.
	conn := pooled.Hijack()
	defer func() {
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		conn.Close(bye)
	}()
	if _, err := conn.Exec(ctx, "listen "+channel); err != nil {
		return fmt.Errorf("listen on %s: %w", channel, err)
	}
	if channel == OrderChannel { // after listening: who is told that we attend may count on being heard
		if _, err := conn.Exec(ctx, `select pg_advisory_lock_shared($1, $2)`, attendSpace, attendKey); err != nil {
			return fmt.Errorf("attend to %s: %w", channel, err)
		}
	}
	if channel == QueueChannel {
		s.heads.listen(true)
		defer s.heads.listen(false)
	}
	said := ""
	for {
		if channel == QueueChannel {
			s.heads.heard(said)
		}
		got(said)
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return fmt.Errorf("listen on %s: %w", channel, err)
		}
		said = n.Payload
	}
}
