package bus

import (
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
)

// subscribe returns when the server knows of the subscription, so that whoever
// sends after it is heard. stop waits for the last call of f to return; f must
// not call it.
func (c *Conn) subscribe(subject, queue string, f nats.MsgHandler) (stop func(), err error) {
	done := make(chan struct{})
	sub, err := c.nc.QueueSubscribe(subject, queue, f)
	if err != nil {
		return nil, fmt.Errorf("subscribe %s: %w", subject, translate(err))
	}
	sub.SetClosedHandler(func(string) { close(done) })
	stop = c.atClose(func() {
		// Errors mean that it has ended already, with its connection. The server
		// must know before stop returns: else it would still pass requests on to
		// us, and their askers would wait in vain.
		_ = sub.Unsubscribe()
		_ = c.sent()
		<-done
	})
	if err := c.told(); err != nil {
		stop()
		return nil, fmt.Errorf("subscribe %s: %w", subject, err)
	}
	return stop, nil
}

// atClose makes stop run once: when its caller wants, else when c is closed.
func (c *Conn) atClose(stop func()) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastStop++
	id := c.lastStop
	c.stops[id] = sync.OnceFunc(func() {
		stop()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.stops, id)
	})
	return c.stops[id]
}
