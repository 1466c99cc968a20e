// Package bustest gives tests a wire of their own: a real NATS server in the
// process, with an authority in a temporary folder and a master's connection.
//
// Everything ends with the test that started it. It never listens outside the
// loopback address.
package bustest

import (
	"context"
	"testing"

	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/bus/natsserver"
	"pinwheel/internal/farm"
	"pinwheel/internal/porttest"
)

// Farm is the wire of one test.
type Farm struct {
	Server    *natsserver.Server
	Authority *bus.Authority
	Master    *bus.Conn
}

// Start returns when the server takes connections, on a free port of the
// loopback address, and the master is connected.
func Start(t testing.TB) *Farm {
	t.Helper()
	authority, err := bus.OpenAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return StartWith(t, authority)
}

// StartWith is Start for an authority that the test has opened itself.
func StartWith(t testing.TB, authority *bus.Authority) *Farm {
	t.Helper()
	server, err := natsserver.Start(natsserver.Config{Listen: porttest.Reserve(t), Authority: authority, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	creds, err := authority.MasterCreds()
	if err != nil {
		t.Fatal(err)
	}
	f := &Farm{Server: server, Authority: authority}
	f.Master = f.Connect(t, "master", creds)
	return f
}

// Creds enrolls name and returns the text of its credentials file.
func (f *Farm) Creds(t testing.TB, name string, role farm.Role) []byte {
	t.Helper()
	creds, _, err := f.Authority.Enroll(name, role)
	if err != nil {
		t.Fatal(err)
	}
	return creds
}

// Connect opens a connection with creds that ends with the test.
func (f *Farm) Connect(t testing.TB, label string, creds []byte) *bus.Conn {
	t.Helper()
	return connect(t, bus.Options{URL: f.Server.URL(), Creds: creds, Label: label, Log: zerolog.Nop()})
}

func connect(t testing.TB, o bus.Options) *bus.Conn {
	t.Helper()
	c, err := bus.Connect(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Inside connects as the master once more, without a network between: as a master does
// whose own server it is. It ends with that server, and does not find another one.
func (f *Farm) Inside(t testing.TB) *bus.Conn {
	t.Helper()
	creds, err := f.Authority.MasterCreds()
	if err != nil {
		t.Fatal(err)
	}
	return connect(t, bus.Options{InProcess: f.Server, Creds: creds, Label: "master", Log: zerolog.Nop()})
}

// Slave enrolls a slave and connects as it.
func (f *Farm) Slave(t testing.TB, name string) *bus.Conn {
	t.Helper()
	return f.Connect(t, name, f.Creds(t, name, farm.RoleSlave))
}
