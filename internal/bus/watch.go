package bus

import (
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"pinwheel/internal/farm"
)

// Limits in bytes of the messages that are not requests.
const (
	maxControl = 4 << 10
	maxEvent   = 64 << 10
	maxChunk   = 2 * MaxLogChunk // base64 in JSON
)

// Publish tells whoever watches that something changed.
func (c *Conn) Publish(e Event) error {
	if err := e.check(); err != nil {
		return fmt.Errorf("publish event: %w", err)
	}
	return c.publish(eventSubject(e.Kind), &e)
}

// WatchEvents calls f for each event from now on, one after another. f must not
// call stop, which waits for it.
func (c *Conn) WatchEvents(f func(Event)) (stop func(), err error) {
	return c.subscribe(eventSubject(">"), "", func(msg *nats.Msg) {
		e, err := decode[Event](msg.Data, maxEvent)
		if err != nil {
			c.log.Warn().Err(err).Str("subject", msg.Subject).Msg("event not understood")
			return
		}
		f(e)
	})
}

// WatchLog calls f for each piece of log that slave writes from now on for job;
// name "*" means any slave. Pieces may be missing: their offsets tell. f must not
// call stop, which waits for it.
func (c *Conn) WatchLog(name string, job int64, f func(slave string, chunk LogChunk)) (stop func(), err error) {
	if name != "*" {
		if err := farm.CheckSlaveName(name); err != nil {
			return nil, fmt.Errorf("watch log: %w", err)
		}
	}
	return c.subscribe(logSubject(name, job), "", func(msg *nats.Msg) {
		slave, chunk, err := readLog(msg)
		if err != nil {
			c.log.Warn().Err(err).Str("subject", msg.Subject).Msg("piece of log not understood")
			return
		}
		f(slave, chunk)
	})
}

// readLog holds the body to its subject, which is what the watcher asked for.
func readLog(msg *nats.Msg) (string, LogChunk, error) {
	slave, err := slaveOf(msg.Subject)
	if err != nil {
		return "", LogChunk{}, err
	}
	chunk, err := decode[LogChunk](msg.Data, maxChunk)
	if err != nil {
		return "", LogChunk{}, err
	}
	if msg.Subject != slaveSubject(slave, kindLog)+"."+strconv.FormatInt(chunk.Job, 10) {
		return "", LogChunk{}, fmt.Errorf("it is of job %d", chunk.Job)
	}
	return slave, chunk, nil
}
