package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
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

// swiftConns is enough: claims take turns.
const swiftConns = 4

// swiftConfig is for claims, which are sent for every build and were written to have one
// plan for all arguments. To plan them anew costs three to four times what they do, and
// Postgres does so each time: it thinks a list of unknown length longer than the one that
// it is given, and so every plan for that one better than the one that it could keep. All
// other statements are left to it: some have arguments that make them another question.
func swiftConfig(cfg *pgxpool.Config) *pgxpool.Config {
	cfg = cfg.Copy()
	cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = swiftConns, 0, 0
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if err := watched(ctx, conn); err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, `select set_config('plan_cache_mode', 'force_generic_plan', false)`); err != nil {
			return fmt.Errorf("have the database keep its plans: %w", err)
		}
		return nil
	}
	return cfg
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
		return "; raise its max_connections, a master needs 25, commands beside it a few more"
	}
	return ""
}
