package bus

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"pinwheel/internal/farm"
)

// mastersQueue lets several masters share the requests of all slaves.
const mastersQueue = "masters"

// The handlers of a master. Each call gets the slave's name as its credentials
// prove it, a message that has passed the checks, and a context that ends when
// the slave gives up, or when stop is called. An answer whose Error is set is a
// refusal. The stop functions wait for the calls under way.

// HandleHello answers the first request of every slave.
func (c *Conn) HandleHello(f func(ctx context.Context, slave string, m Hello) Welcome) (stop func(), err error) {
	return handle(c, exchangeHello(), slaves(kindHello), f)
}

// HandleNext answers requests for work; f may wait for some, at most NextWait.
func (c *Conn) HandleNext(f func(ctx context.Context, slave string, m Next) NextReply) (stop func(), err error) {
	return handle(c, exchangeNext(), slaves(kindNext), f)
}

// HandleBeat answers heartbeats.
func (c *Conn) HandleBeat(f func(ctx context.Context, slave string, m Beat) BeatReply) (stop func(), err error) {
	return handle(c, exchangeBeat(), slaves(kindBeat), f)
}

// HandleReport answers reports, the same one as often as it comes.
func (c *Conn) HandleReport(f func(ctx context.Context, slave string, m Report) ReportReply) (stop func(), err error) {
	return handle(c, exchangeReport(), slaves(kindReport), f)
}

// OverhearHello calls f for the first request of every slave, one after another,
// whichever master answers it. f must be quick and must not call stop, which waits
// for it.
func (c *Conn) OverhearHello(f func(slave string, m Hello)) (stop func(), err error) {
	return c.subscribe(slaveSubject("*", kindHello), "", func(msg *nats.Msg) {
		slave, err := slaveOf(msg.Subject)
		if err != nil {
			return // who answers it says so
		}
		if m, err := decode[Hello](msg.Data, exchangeHello().maxBytes); err == nil {
			f(slave, m)
		}
	})
}

// side is one kind of asker, all of them: their subject, and who speaks on one of
// those, by name for the log, with the inbox that alone is theirs.
type side[W any] struct {
	subject string
	of      func(subject string) (who W, name, inbox string, err error)
}

func slaves(kind string) side[string] {
	return side[string]{subject: slaveSubject("*", kind), of: func(subject string) (string, string, string, error) {
		name, err := slaveOf(subject)
		return name, name, inbox(farm.RoleSlave, name), err
	}}
}

// handle is one subscription to a kind of request of all of a side. Its loop starts
// a goroutine per request, and waits when there are too many: then the requests
// of this kind queue up, and only they.
func handle[W any, Q checked, R any, P interface {
	*R
	stamped
}](c *Conn, x exchange, s side[W], f func(context.Context, W, Q) R) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	slots := make(chan struct{}, x.parallel)
	var running sync.WaitGroup
	unsubscribe, err := c.subscribe(s.subject, mastersQueue, func(msg *nats.Msg) {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			ctx, done := context.WithTimeout(ctx, x.handling())
			defer done()
			who, name, box, err := s.of(msg.Subject)
			if err == nil && !strings.HasPrefix(msg.Reply, box+".") {
				err = fmt.Errorf("reply subject %.80q is not the sender's own", msg.Reply)
			}
			if err != nil {
				c.log.Warn().Err(err).Str("subject", msg.Subject).Msg("message dropped")
				return
			}
			c.answer(msg, x, name, func() (stamped, error) {
				m, err := decode[Q](msg.Data, x.maxBytes)
				if err != nil {
					return nil, err
				}
				reply := f(ctx, who, m)
				if c, ok := any(reply).(checked); ok {
					if err := c.check(); err != nil {
						return nil, err
					}
				}
				return P(&reply), nil
			})
		})
	})
	if err != nil {
		cancel()
		return nil, err
	}
	return c.atClose(func() {
		cancel() // first: the loop may be waiting for a slot
		unsubscribe()
		running.Wait()
	}), nil
}

// answer runs f and sends what it returns, to the sender's own inbox and nowhere
// else: with another reply subject a slave could make the master speak for it
// where its own credentials do not reach, another slave's control for one.
func (c *Conn) answer(msg *nats.Msg, x exchange, name string, f func() (stamped, error)) {
	reply, err := c.guard(name, x, f)
	if err != nil {
		c.log.Warn().Err(err).Str("slave", name).Str("kind", x.kind).Msg("message refused")
		reply = &refusal{Error: x.kind + ": " + err.Error()}
	}
	if err := c.publish(msg.Reply, reply); err != nil {
		c.log.Warn().Err(err).Str("slave", name).Str("kind", x.kind).Msg("answer not sent")
	}
}

// guard keeps one request that breaks a handler from breaking the master.
func (c *Conn) guard(name string, x exchange, f func() (stamped, error)) (reply stamped, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error().Str("slave", name).Str("kind", x.kind).Interface("panic", p).
				Bytes("stack", debug.Stack()).Msg("handler panicked")
			reply, err = nil, fmt.Errorf("the master made a mistake; its log has the details")
		}
	}()
	return f()
}

// SendControl sends an order to a slave. It returns before the slave has it, if
// it ever does.
func (c *Conn) SendControl(name string, m Control) error {
	if err := farm.CheckSlaveName(name); err != nil {
		return fmt.Errorf("send order: %w", err)
	}
	if err := m.check(); err != nil {
		return fmt.Errorf("send order to %s: %w", name, err)
	}
	return c.publish(slaveSubject(name, kindControl), &m)
}
