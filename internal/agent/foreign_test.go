package agent

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"pinwheel/internal/bus"
)

// foreignMaster answers a slave's questions of one kind in protocol 2 from now on.
func (m *master) foreignMaster(kind, answer string) {
	m.t.Helper()
	nc, err := nats.Connect(m.farm.Server.URL(), nats.UserCredentialBytes(masterCreds(m)))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(nc.Close)
	if _, err := nc.Subscribe("farm.v1.slave.*."+kind, func(msg *nats.Msg) { _ = msg.Respond([]byte(answer)) }); err != nil {
		m.t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		m.t.Fatal(err)
	}
}

// TestForeignMasterEndsTheSlave: nothing comes of asking it again.
func TestForeignMasterEndsTheSlave(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`{"protocol":2,"error":"hello: protocol 1 is not spoken here, 2 is"}`: "protocol 1 is not spoken here, 2 is",
		`{"protocol":2,"welcome":"in another shape"}`:                         "it speaks protocol 2, this program 1",
	} {
		m := newMaster(t)
		m.foreignMaster("hello", answer)
		s := m.prepareSlave(Config{}, goodBuild).start()
		if err := s.waitEnd(); !errors.Is(err, bus.ErrProtocol) || !strings.Contains(err.Error(), want) {
			t.Errorf("Run = %v, want ErrProtocol with %q", err, want)
		}
	}
}

// TestMasterBecomesForeign: a build under way is finished and kept for the next
// start, whose program the new master understands.
func TestMasterBecomesForeign(t *testing.T) {
	t.Parallel()
	m, begun, goOn := newMaster(t), make(chan string, 1), make(chan struct{})
	conn := m.farm.Connect(t, "old master", masterCreds(m))
	m.serve(conn)
	s := m.prepareSlave(Config{}, heldBuild(begun, goOn)).start()
	m.leases <- lease(1)
	receive(t, begun)
	conn.Close()
	m.foreignMaster("*", `{"protocol":2}`)
	if _, err := s.board.await(t.Context(), func(f facts) bool { return f.foreign != nil }); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	if err := s.waitEnd(); !errors.Is(err, bus.ErrProtocol) {
		t.Errorf("Run = %v, want ErrProtocol", err)
	}
	onlyNames(t, s.paths.spool, "TOKEN1")
}

func masterCreds(m *master) []byte {
	m.t.Helper()
	creds, err := m.farm.Authority.MasterCreds()
	if err != nil {
		m.t.Fatal(err)
	}
	return creds
}
