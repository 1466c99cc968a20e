package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// leadSpace is the class of the advisory locks by which one of several masters
// does what only one need do.
const leadSpace = 0x70696e6c // "pinl"

// leadEvery is how often those who do not lead look whether they could.
const leadEvery = 2 * time.Second

// Who leads says so every leadPing. A process that is frozen says nothing, though
// its connection stands: the server ends that after leadSilence, and the lock goes.
const (
	leadPing    = 3 * time.Second
	leadSilence = 12 * time.Second
)

// WhileLeader calls lead whenever this process is the only one on the database
// that does so for key, until ctx ends; the context of lead ends too when the
// database has lost sight of us, for then another may begin. It returns ctx's
// error, or that of a lead that ended by itself. Two can overlap for seconds if a
// network breaks: what they do must be right even so.
func (s *Store) WhileLeader(ctx context.Context, key string, lead func(context.Context) error) error {
	for ctx.Err() == nil {
		err := s.leadOnce(ctx, key, lead)
		if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(leadEvery):
		}
	}
	return ctx.Err()
}

// leadOnce leads if nobody else does. A database that is away is no error.
func (s *Store) leadOnce(ctx context.Context, key string, lead func(context.Context) error) error {
	pooled, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil // every other statement reports its absence too
	}
	conn := pooled.Hijack() // it holds the lock for as long as it lives
	defer func() {
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		conn.Close(bye)
	}()
	mine, err := lockLead(ctx, conn, key)
	if err != nil || !mine {
		return nil
	}
	leading, end := context.WithCancel(ctx)
	defer end()
	ended := make(chan error, 1)
	go func() { ended <- lead(leading) }()
	lost := make(chan struct{})
	go func() {
		defer close(lost)
		attend(leading, conn)
	}()
	select {
	case err = <-ended:
		end()
		<-lost
		if err == nil {
			err = fmt.Errorf("lead %s: ended by itself", key)
		}
		return err
	case <-lost:
		end()
		<-ended // what it says on its way out is not the reason
		return nil
	}
}

// attend returns when the connection is lost, or ctx has ended. Nobody notifies it:
// to wait for that is to hear of its end at once.
func attend(ctx context.Context, conn *pgx.Conn) {
	for ctx.Err() == nil {
		short, cancel := context.WithTimeout(ctx, leadPing)
		_, err := conn.WaitForNotification(short)
		quiet := short.Err() != nil
		cancel()
		if err != nil && !quiet {
			return
		}
		short, cancel = context.WithTimeout(ctx, leadSilence)
		err = conn.Ping(short)
		cancel()
		if err != nil {
			return
		}
	}
}

// lockLead tries, and does not wait: a statement that waits for hours holds a
// snapshot, and vacuum with it.
func lockLead(ctx context.Context, conn *pgx.Conn, key string) (bool, error) {
	// The pool's connections are watched: see there.
	var mine bool
	if err := conn.QueryRow(ctx, `select pg_try_advisory_lock($1, hashtext($2))`, leadSpace, key).Scan(&mine); err != nil || !mine {
		return false, err
	}
	_, err := conn.Exec(ctx, `select set_config('idle_session_timeout', $1, false)`, milliseconds(leadSilence))
	return err == nil, err
}
