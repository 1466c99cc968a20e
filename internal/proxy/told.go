package proxy

import (
	"errors"
	"fmt"
	"net"
)

// withheld is an error of which builds, and whoever reads their records, are told the
// first half only: a build that may ask for any name would else learn the addresses of
// the house from what it is answered.
type withheld struct {
	told error
	why  string
}

func (e *withheld) Error() string { return e.told.Error() + ": " + e.why }

func (e *withheld) Unwrap() error { return e.told }

// forbid is an errForbidden whose reason is withheld.
func forbid(why string, args ...any) error { return &withheld{errForbidden, fmt.Sprintf(why, args...)} }

// errParent is what builds are told of a proxy of this machine's own that is not to be had:
// where it is, and by what name, is as little theirs.
var errParent = errors.New("this machine's proxy cannot be reached")

func parentAway(err error) error { return &withheld{errParent, plain(err)} }

// told is what a build is told of an error: no address, neither of a host, nor of who was
// asked for it, nor our own.
func told(err error) string {
	var (
		w   *withheld
		dns *net.DNSError
		op  *net.OpError
	)
	switch {
	case errors.As(err, &w):
		return w.told.Error()
	case errors.As(err, &op) && op.Op == "proxyconnect": // net/http's word for a proxy that it could not reach
		return errParent.Error()
	case errors.As(err, &dns) && dns.IsNotFound:
		return "it does not resolve"
	case errors.As(err, &dns):
		return "it could not be looked up"
	case errors.As(err, &op):
		for errors.As(op.Err, &op) { // one may be around another
		}
		return op.Err.Error() // without both ends
	}
	return plain(err)
}
