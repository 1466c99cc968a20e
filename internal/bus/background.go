package bus

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
)

// remindEvery is how often the log says that the server is still awaited.
const remindEvery = 30 * time.Second

// seek makes the connection without its server, as if it had been lost.
func (c *Conn) seek(o Options, creds []byte, cause error) (err error) {
	opts := append(c.options(o, creds),
		nats.RetryOnFailedConnect(true),
		nats.ConnectHandler(c.arrived),
	)
	c.ailing = cause.Error() // said below
	if c.nc, err = nats.Connect(o.URL, opts...); err != nil {
		return fmt.Errorf("connect to %s: %w", o.where(), err)
	}
	c.log.Warn().Err(cause).Msg("waiting for " + o.where() + "; no slave can reach this master until it is there")
	go c.remind(o)
	return nil
}

// arrived tells nobody before the server knows of our subscriptions.
func (c *Conn) arrived(nc *nats.Conn) {
	if err := flush(nc); err != nil {
		c.log.Warn().Err(err).Msg("NATS does not answer yet")
	}
	c.log.Info().Msg("NATS is there")
	close(c.ready)
}

// remind repeats why there is no connection: the first line has scrolled away,
// and the cause may be another one by now.
func (c *Conn) remind(o Options) {
	tick := time.NewTicker(remindEvery)
	defer tick.Stop()
	for {
		select {
		case <-c.ready:
			return
		case <-c.closed:
			return
		case <-tick.C:
			c.log.Warn().AnErr("cause", explain(c.nc.LastError())).Msg("still waiting for " + o.where())
		}
	}
}

// Await returns when the server has let us in for the first time.
func (c *Conn) Await(ctx context.Context) error {
	select {
	case <-c.ready:
		return nil
	case <-c.closed:
		return errors.New("wait for NATS: the connection was closed")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// told is flush for what the library repeats by itself when it reconnects: a
// connection that is lost, before or meanwhile, is then no error. The server will
// know as soon as it is there, and nobody can send through it before.
func (c *Conn) told() error {
	for c.nc.IsConnected() {
		err := flush(c.nc)
		if err == nil || errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	if c.nc.IsClosed() {
		return translate(nats.ErrConnectionClosed)
	}
	return nil
}

var userinfo = regexp.MustCompile(`//[^/]*@`)

// hide keeps what stands for a user in a URL out of errors and logs.
func hide(url string) string { return userinfo.ReplaceAllString(url, "//xxxxx@") }
