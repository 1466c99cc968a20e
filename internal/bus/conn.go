package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pinwheel/internal/certs"
)

// What both ends of a connection hold to. Three unanswered pings show a frozen
// peer: a frozen master is left within 10 s (design 5). Files travel by HTTP, so
// that no message is long enough to delay the heartbeats behind it.
const (
	PingEvery  = 2 * time.Second
	MaxPings   = 2
	MaxMessage = 1 << 20 // bytes
)

const (
	dialWithin  = 5 * time.Second
	flushWithin = 5 * time.Second

	// More than one, because the library takes a server that is slow for one that
	// does not know the protocol.
	hastyAttempts = 3
)

// InProcess is a server that can be reached without a network: natsserver.Server.
type InProcess interface {
	InProcessConn() (net.Conn, error)
}

// Options say where to connect and as whom.
type Options struct {
	URL       string    // "nats://host:port"
	InProcess InProcess // instead of URL: the server of this process

	Creds     []byte // as Enroll returned them
	CredsFile string // instead of Creds: read here

	// TLS, if set, makes the connection insist on TLS, and says whom it trusts. Without
	// it, a server that wants TLS gets it, with the system's authorities trusted.
	TLS *certs.Certs

	Label string // what the server's log calls this connection
	Log   zerolog.Logger

	// Wait makes Connect wait for a server that is not there yet, until the
	// context ends. Without it, that is an error after a few quick attempts.
	Wait bool

	// Background makes Connect return without a server too; the connection is then
	// sought for ever, as one that was lost is. Only credentials that the server
	// refuses now are an error. Await tells when it is there.
	Background bool
}

// Conn is a connection that comes back by itself: when it is lost, it is sought
// again for ever, with pauses that grow to about two seconds. Requests fail with
// ErrNobody meanwhile; nothing is kept to be sent later, when it may no longer
// be true.
type Conn struct {
	nc     *nats.Conn
	id     Identity
	log    zerolog.Logger
	ready  chan struct{} // closed when the server first let us in
	closed chan struct{}

	mu       sync.Mutex
	ailing   string        // what was said last of why there is no connection
	lost     chan struct{} // closed when the connection of the moment is lost
	stops    map[int]func()
	lastStop int
}

// Connect returns when the server has let us in. Wrong credentials are an error
// that matches ErrCredentials.
func Connect(ctx context.Context, o Options) (*Conn, error) {
	creds, err := o.creds()
	if err != nil {
		return nil, err
	}
	id, err := ReadIdentity(creds)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", o.where(), err)
	}
	c := &Conn{
		id: id, log: o.Log, stops: map[int]func(){},
		ready: make(chan struct{}), closed: make(chan struct{}), lost: make(chan struct{}),
	}
	for attempt := 1; ; attempt++ {
		c.nc, err = nats.Connect(o.URL, c.options(o, creds)...)
		switch {
		case err == nil:
			close(c.ready)
			return c, nil
		case errors.Is(err, nats.ErrAuthorization):
			return nil, fmt.Errorf("connect to %s as %s %s: %w", o.where(), id.Role, id.Name, errNotAccepted)
		case o.Background:
			return c, c.seek(o, creds, explain(err))
		case !o.Wait && attempt >= hastyAttempts:
			return nil, fmt.Errorf("connect to %s: %w", o.where(), explain(err))
		}
		if err := c.pause(ctx, attempt, explain(err)); err != nil {
			return nil, fmt.Errorf("connect to %s: %w", o.where(), err)
		}
	}
}

func (o Options) creds() ([]byte, error) {
	if o.CredsFile == "" {
		return o.Creds, nil
	}
	creds, err := os.ReadFile(o.CredsFile)
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	return creds, nil
}

func (o Options) where() string {
	if o.InProcess != nil {
		return "the NATS server of this process"
	}
	return "NATS at " + hide(o.URL)
}

// pause waits before the next attempt; cause is why there must be one.
func (c *Conn) pause(ctx context.Context, attempt int, cause error) error {
	c.log.Warn().Err(cause).Int("attempt", attempt).Msg("NATS cannot be reached, trying again")
	t := time.NewTimer(reconnectDelay(attempt))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("%w (last attempt: %w)", ctx.Err(), cause)
	case <-t.C:
		return nil
	}
}

// reconnectDelay is random by half, so that a farm of slaves does not come back
// all at once.
func reconnectDelay(attempt int) time.Duration {
	d := min(50*time.Millisecond<<min(attempt, 6), 2*time.Second)
	return d/2 + rand.N(d)
}

func (c *Conn) options(o Options, creds []byte) []nats.Option {
	opts := []nats.Option{
		nats.Name(o.Label),
		nats.UserCredentialBytes(creds),
		nats.CustomInboxPrefix(inbox(c.id.Role, c.id.Name)),
		nats.Timeout(dialWithin),
		nats.PingInterval(PingEvery),
		nats.MaxPingsOutstanding(MaxPings),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(reconnectDelay),
		// A master that starts again may refuse everyone for a moment.
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(c.disconnected),
		nats.ReconnectHandler(c.reconnected),
		nats.ReconnectErrHandler(c.refused),
		nats.ErrorHandler(c.complained),
		nats.ClosedHandler(func(*nats.Conn) { close(c.closed) }),
	}
	if o.InProcess != nil {
		return append(opts, nats.InProcessServer(o.InProcess))
	}
	if o.TLS != nil {
		opts = append(opts, secured(o.TLS))
	}
	return opts
}

// complained is told of what goes wrong by the way. A connection whose credentials are
// revoked hears so each time it comes back, for ever.
func (c *Conn) complained(_ *nats.Conn, _ *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAuthExpired) {
		c.ails(errNotAccepted)
		return
	}
	c.log.Warn().Err(err).Msg("NATS complains")
}

// ails says once what keeps the connection from coming back and does not pass by itself,
// as a server that is away does.
func (c *Conn) ails(told error) {
	c.mu.Lock()
	again := c.ailing == told.Error()
	c.ailing = told.Error()
	c.mu.Unlock()
	if !again {
		c.log.Error().Err(told).Msg("NATS cannot be reached, trying again")
	}
}

// disconnected lets every request that waits for an answer go: it will not come.
func (c *Conn) disconnected(nc *nats.Conn, err error) {
	c.mu.Lock()
	close(c.lost)
	c.lost = make(chan struct{})
	c.mu.Unlock()
	if nc.IsClosed() {
		return
	}
	c.log.Warn().AnErr("cause", err).Msg("NATS is lost, reconnecting")
}

// reconnected says so only when the new server knows of our subscriptions: who
// waits for these words may count on being heard.
func (c *Conn) reconnected(nc *nats.Conn) {
	c.mu.Lock()
	c.ailing = ""
	c.mu.Unlock()
	if err := flush(nc); err == nil {
		c.log.Info().Msg("NATS is back")
	}
}

// sent is flush while there is a connection; without one nothing is under way.
func (c *Conn) sent() error {
	if !c.nc.IsConnected() {
		return nil
	}
	return flush(c.nc)
}

// flush returns when the server has all that was sent before.
func flush(nc *nats.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), flushWithin)
	defer cancel()
	return translate(nc.FlushWithContext(ctx))
}

func (c *Conn) lostSignal() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// Identity says whose credentials this connection has.
func (c *Conn) Identity() Identity { return c.id }

// Hosts are the names and addresses of the servers that this connection knows: those
// it was told, those that they told it of, and the one it talks to now.
func (c *Conn) Hosts() []string {
	if c.nc == nil {
		return nil
	}
	list := append(c.nc.Servers(), c.nc.ConnectedUrlRedacted(), "nats://"+c.nc.ConnectedAddr())
	var hosts []string
	for _, text := range list {
		if u, err := url.Parse(text); err == nil && u.Hostname() != "" && !slices.Contains(hosts, u.Hostname()) {
			hosts = append(hosts, u.Hostname())
		}
	}
	return hosts
}

// Connected says whether the server can be reached right now.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// Trouble is why the server cannot be reached right now, as far as it or the network
// said; nil: it can be, or nobody knows.
func (c *Conn) Trouble() error {
	if c.nc.IsConnected() {
		return nil
	}
	return c.nc.LastError()
}

// Close stops what was subscribed, waits for the calls under way, and returns
// when all that was published is sent, or cannot be, and the connection is gone.
func (c *Conn) Close() {
	c.mu.Lock()
	stops := slices.Collect(maps.Values(c.stops))
	c.mu.Unlock()
	for _, stop := range stops {
		stop()
	}
	if err := c.sent(); err != nil {
		c.log.Warn().Err(err).Msg("the last messages may be lost")
	}
	c.nc.Close()
	<-c.closed
}

func (c *Conn) publish(subject string, m stamped) error {
	data, err := encode(m)
	if err != nil {
		return fmt.Errorf("publish %s: %w", subject, err)
	}
	if err := c.nc.Publish(subject, data); err != nil {
		return fmt.Errorf("publish %s: %w", subject, translate(err))
	}
	return nil
}

// translate turns nats.go's errors into this package's.
func translate(err error) error {
	for _, e := range []error{nats.ErrNoResponders, nats.ErrReconnectBufExceeded, nats.ErrDisconnected,
		nats.ErrConnectionClosed, nats.ErrConnectionDraining, nats.ErrTimeout, nats.ErrConnectionReconnecting, context.DeadlineExceeded} {
		if errors.Is(err, e) {
			return fmt.Errorf("%w (%w)", ErrNobody, err)
		}
	}
	return err
}
