package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sys/unix"
)

// A network that is dead, because a cable was pulled or a host has lost its power,
// says nothing: no connection is refused and none is closed. The kernel would send
// a statement again for a quarter of an hour, and never miss a notification. So it
// is told to ask a silent database whether it is there, and to give up on one that
// confirms nothing for as long as all those questions take.
const (
	probeAfter = 4 * time.Second
	probeEvery = 2 * time.Second
	probes     = 3
	givenUp    = probeAfter + probes*probeEvery
)

// connectTimeout bounds making one connection, TLS and password included, where
// the URL does not ask for less.
const connectTimeout = 10 * time.Second

// CheckURL says, in one line without the password, whether a URL can be a
// database's. Nobody is asked.
func CheckURL(dsn string) error {
	if _, err := pgxpool.ParseConfig(dsn); err != nil {
		return explain(err)
	}
	return nil
}

// settle is what all connections of this package have in common.
func settle(c *pgx.ConnConfig) {
	if c.ConnectTimeout <= 0 || c.ConnectTimeout > connectTimeout {
		c.ConnectTimeout = connectTimeout
	}
	c.DialFunc = dialer().DialContext
	c.RuntimeParams["application_name"] = "pinwheel"
}

func dialer() *net.Dialer {
	return &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: probeAfter, Interval: probeEvery, Count: probes},
		Control: func(network, _ string, c syscall.RawConn) error {
			if !strings.HasPrefix(network, "tcp") {
				return nil
			}
			var err error
			if e := c.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(givenUp.Milliseconds()))
			}); e != nil {
				return e
			}
			return err
		},
	}
}

// frozen is how long a transaction may stand between two of its statements, which
// take no time in between. A process that is stopped there, with its connection as
// it was, would keep the rows that it has locked from all other masters.
const frozen = 20 * time.Second

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// watched lets the server notice us missing as soon as we miss it. It would keep
// the session of a host that is gone for two hours, with its locks on rows, and
// with the lock by which people know that a daemon is there. It is a statement,
// not a part of the connection's greeting: poolers refuse what they do not know.
func watched(ctx context.Context, conn *pgx.Conn) error {
	const q = `
select set_config('tcp_keepalives_idle', $1, false), set_config('tcp_keepalives_interval', $2, false),
       set_config('tcp_keepalives_count', $3, false), set_config('tcp_user_timeout', $4, false),
       set_config('idle_in_transaction_session_timeout', $5, false)`
	seconds := func(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }
	_, err := conn.Exec(ctx, q, seconds(probeAfter), seconds(probeEvery), strconv.Itoa(probes),
		milliseconds(givenUp), milliseconds(frozen))
	if err != nil {
		return fmt.Errorf("have the database watch the connection: %w", err)
	}
	return nil
}

// briefConns is enough: claims, reports and questions about leases take turns, two write
// what is read of the upstream, and the rest of them takes a millisecond.
const briefConns = 12

// plansLast is how old a plan of theirs may grow, where no ANALYZE has Postgres make it anew
// before: at each planning it sees how large its tables are. A claim that has to be planned
// keeps those behind it waiting, so not every minute.
const plansLast = 10 * time.Minute

// plannedOnce is for connections whose statements come again and again, claims, reports
// and events, and find all that they need by an index, whatever they are asked for and
// however many rows there are: to plan one takes several times as long as to do it.
// Postgres would plan most of them anew each time, because it takes each array for one of
// ten elements when it does not know it. A plan that is kept may be as old as the farm,
// when all tables were empty and reading the whole of one, or of its index, seemed cheap;
// so that is ruled out, joins that do so too, and compiling, which would seem worthwhile
// then.
func plannedOnce(ctx context.Context, conn *pgx.Conn) error {
	if err := watched(ctx, conn); err != nil {
		return err
	}
	const q = `
select set_config('plan_cache_mode', 'force_generic_plan', false), set_config('enable_seqscan', 'off', false),
       set_config('enable_mergejoin', 'off', false), set_config('enable_hashjoin', 'off', false), set_config('jit', 'off', false)`
	if _, err := conn.Exec(ctx, q); err != nil {
		return fmt.Errorf("have the database keep its plans: %w", err)
	}
	return nil
}

// outages is when a connection was last found to be broken. Those that were made before
// it are asked, before they are used, whether they are still there: after an outage one
// call fails of all, and not one for each connection of each pool.
type outages struct {
	began time.Time
	last  atomic.Int64 // since it began
}

// trusted is how long a connection that is not used is taken to be there.
const trusted = time.Second

func (o *outages) watch(cfg *pgxpool.Config) {
	const asked = "pinwheel.asked" // when it was last known to be there
	cfg.BeforeClose = func(conn *pgx.Conn) {
		if conn.IsClosed() {
			o.last.Store(int64(time.Since(o.began)))
		}
	}
	cfg.ShouldPing = func(_ context.Context, p pgxpool.ShouldPingParams) bool {
		data := p.Conn.PgConn().CustomData()
		at, _ := data[asked].(int64)
		ping := p.IdleDuration > trusted || at <= o.last.Load()
		if ping {
			data[asked] = int64(time.Since(o.began))
		}
		return ping
	}
}

// SQLSTATE codes by which a server refuses a connection.
const (
	invalidPassword      = "28P01"
	invalidAuthorization = "28000"
	invalidCatalogName   = "3D000"
	tooManyConnections   = "53300"
	insufficientRights   = "42501"
)

// explain makes one line of the error of a connection that could not be made:
// where it went, as whom, why not, and what to do. The password is never in it.
// The driver tells each of its tries, with and without TLS; the last one counts.
func explain(err error) error {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) { // it repeats the whole URL
		return errors.New("the database URL cannot be parsed; want postgres://USER@HOST/NAME")
	}
	var connect *pgconn.ConnectError
	if !errors.As(err, &connect) {
		return fmt.Errorf("connect to the database: %w", err)
	}
	where := fmt.Sprintf("connect to the database %s at %s as %s", connect.Config.Database,
		net.JoinHostPort(connect.Config.Host, strconv.Itoa(int(connect.Config.Port))), connect.Config.User)
	var refused *pgconn.PgError
	var dial *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &refused):
		return fmt.Errorf("%s: %s%s", where, refused.Message, remedy(refused.Code))
	case errors.As(err, &dns):
		return fmt.Errorf("%s: %w", where, dns)
	case errors.As(err, &dial):
		return fmt.Errorf("%s: %w", where, dial)
	case pgconn.Timeout(err):
		return fmt.Errorf("%s: no answer within %v; look at its host and the network between", where, connect.Config.ConnectTimeout)
	}
	return fmt.Errorf("%s: %w", where, errors.Unwrap(connect))
}

// remedy says what the operator can do about a refusal.
func remedy(code string) string {
	switch code {
	case invalidPassword, invalidAuthorization:
		return "; correct user and password in the database URL"
	case invalidCatalogName:
		return "; create it, then run `master migrate`"
	case insufficientRights:
		return "; let the user connect to it"
	case tooManyConnections:
		return "; raise its max_connections, a master needs 33, commands beside it a few more"
	}
	return ""
}
