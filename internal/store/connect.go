package store

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
)

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
		return "; raise its max_connections, a master needs 20"
	}
	return ""
}
