package bus

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"pinwheel/internal/certs"
)

// secured makes each attempt to connect take the files as they are by then.
func secured(c *certs.Certs) nats.Option {
	return func(o *nats.Options) error {
		o.Secure, o.TLSConfig, o.RootCAsCB = true, c.Client(), c.Roots
		return nil
	}
}

// explain adds the remedy, where TLS is what is wrong.
func explain(err error) error {
	if errors.Is(err, nats.ErrSecureConnWanted) {
		return fmt.Errorf("%w: that server speaks no TLS: give it a certificate (master serve --tls-cert --tls-key), "+
			"or connect to nats://, without --tls-ca", err)
	}
	return certs.Explain(err)
}

// refused says what is wrong with TLS while the connection is sought again.
func (c *Conn) refused(_ *nats.Conn, err error) {
	if told := explain(err); told != err {
		c.ails(told)
	}
}

// Shown is the certificate that the server showed us, if it speaks TLS.
func (c *Conn) Shown() (certs.Certificate, bool) {
	state, err := c.nc.TLSConnectionState()
	if err != nil {
		return certs.Certificate{}, false
	}
	return shown(c.nc.ConnectedUrlRedacted(), state)
}

func shown(server string, state tls.ConnectionState) (certs.Certificate, bool) {
	return certs.Shown(server, state.PeerCertificates)
}
