package bus

import (
	"context"
	"errors"
	"fmt"
)

// errLost and errSilent are the reasons of ErrNobody that do not come from NATS.
var (
	errLost   = errors.New("the connection was lost before the answer came")
	errSilent = errors.New("no answer in time")
)

// request makes one request and waits for its answer, at most as long as the
// exchange allows.
func request[R any](ctx context.Context, c *Conn, x exchange, subject string, m stamped) (R, error) {
	var none R
	data, err := encode(m)
	if err != nil {
		return none, fmt.Errorf("%s: %w", x.kind, err)
	}
	answer, err := c.roundTrip(ctx, x, subject, data)
	if err != nil {
		return none, fmt.Errorf("%s: %w", x.kind, err)
	}
	reply, err := decodeReply[R](answer)
	if err != nil {
		return none, fmt.Errorf("%s: %w", x.kind, err)
	}
	return reply, nil
}

// roundTrip ends early when the connection is lost: the master that got the
// request is gone, and nothing would come until the time is up.
func (c *Conn) roundTrip(ctx context.Context, x exchange, subject string, data []byte) ([]byte, error) {
	lost := c.lostSignal()
	within, cancel := context.WithTimeoutCause(ctx, x.within, errSilent)
	defer cancel()
	within, giveUp := context.WithCancelCause(within)
	defer giveUp(nil)
	go func() {
		select {
		case <-lost:
			giveUp(errLost)
		case <-within.Done():
		}
	}()
	msg, err := c.nc.RequestWithContext(within, subject, data)
	switch {
	case err == nil:
		return msg.Data, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case within.Err() != nil:
		return nil, fmt.Errorf("%w: %w", ErrNobody, context.Cause(within))
	}
	return nil, translate(err)
}
