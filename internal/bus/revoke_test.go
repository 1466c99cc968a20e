package bus_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/bustest"
	"pinwheel/internal/farm"
)

func enrolled(t *testing.T, a *bus.Authority, name string) (creds []byte, key string) {
	t.Helper()
	creds, key, err := a.Enroll(name, farm.RoleSlave)
	if err != nil {
		t.Fatal(err)
	}
	return creds, key
}

// refused says whether credentials are let in no more.
func refused(t *testing.T, f *bustest.Farm, creds []byte) bool {
	t.Helper()
	c, err := bus.Connect(t.Context(), bus.Options{URL: f.Server.URL(), Creds: creds, Label: "again", Log: zerolog.Nop()})
	if err == nil {
		c.Close()
	}
	return errors.Is(err, bus.ErrCredentials)
}

// TestRevokedIsPutOut: an open connection is closed within a second and does not
// come back; those of others stay open.
func TestRevokedIsPutOut(t *testing.T) {
	t.Parallel()
	f := bustest.Start(t)
	good := f.Slave(t, "pi-02")
	creds, bad, took := putOut(t, f, "pi-01")
	for i := 0; took > time.Second && i < 4; i++ { // a machine that was busy says nothing
		_, _, took = putOut(t, f, fmt.Sprint("again-", i))
	}
	if took > time.Second {
		t.Errorf("the connection was closed after %v", took)
	}
	if !refused(t, f, creds) {
		t.Error("revoked credentials are let in again")
	}
	if bad.Connected() {
		t.Error("the revoked connection came back")
	}
	if !good.Connected() {
		t.Error("another slave was put out too")
	}
	again, _ := enrolled(t, f.Authority, "pi-01")
	f.Connect(t, "again", again)
	if !refused(t, f, creds) {
		t.Error("enrolling the name again revived the old credentials")
	}
}

// TestRevokedIsTold: who is put out says so, and what is to be done.
func TestRevokedIsTold(t *testing.T) {
	t.Parallel()
	f := bustest.Start(t)
	creds, key := enrolled(t, f.Authority, "pi-01")
	lines, log := newLog()
	connect(t, bus.Options{URL: f.Server.URL(), Creds: creds, Label: "pi-01", Log: log})
	if err := f.Authority.Revoke(key); err != nil {
		t.Fatal(err)
	}
	if err := f.Server.Update(f.Authority); err != nil {
		t.Fatal(err)
	}
	lines.wait(t, "credentials not accepted: they were revoked")
}

// putOut connects a slave, revokes it, and says how long its connection stays open.
func putOut(t *testing.T, f *bustest.Farm, name string) (creds []byte, c *bus.Conn, took time.Duration) {
	t.Helper()
	creds, key := enrolled(t, f.Authority, name)
	c = f.Connect(t, name, creds)
	if err := f.Authority.Revoke(key); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := f.Server.Update(f.Authority); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for c.Connected() && ctx.Err() == nil {
		// The request ends as soon as the connection does.
		_, _ = c.Slave(name).Beat(ctx, bus.Beat{})
	}
	return creds, c, time.Since(began)
}

// TestRevocationIsKept: a server that starts later refuses as well.
func TestRevocationIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := open(t, dir)
	creds, key := enrolled(t, a, "pi-01")
	if err := a.Revoke(key); err != nil {
		t.Fatal(err)
	}
	if f := bustest.StartWith(t, open(t, dir)); !refused(t, f, creds) {
		t.Error("revoked credentials are let in by the next server")
	}
}

// TestRevokeTogether: of several processes that revoke at once, none undoes the
// work of another.
func TestRevokeTogether(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var all [][]byte
	var wg sync.WaitGroup
	for range 8 {
		creds, key := enrolled(t, open(t, dir), "pi-01")
		all = append(all, creds)
		mine := open(t, dir)
		wg.Go(func() {
			if err := mine.Revoke(key); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	f := bustest.StartWith(t, open(t, dir))
	for i, creds := range all {
		if !refused(t, f, creds) {
			t.Errorf("revocation %d is lost", i)
		}
	}
}

func TestRevokeRefusesWhatIsNoKey(t *testing.T) {
	t.Parallel()
	a := open(t, t.TempDir())
	for _, key := range []string{"", "*", "pi-01", "ACCOUNT"} {
		if err := a.Revoke(key); err == nil {
			t.Errorf("%q was revoked", key)
		}
	}
}
