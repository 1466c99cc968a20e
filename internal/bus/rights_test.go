package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/bus/natsserver"
	"pinwheel/internal/bustest"
	"pinwheel/internal/farm"
)

// rights is what an identity must and must not be able to do, tried on a real
// server by a client that keeps to no rule of ours.
type rights struct {
	name                   string
	role                   farm.Role
	pub, noPub, sub, noSub string
}

func rightsTable() []rights {
	return []rights{{
		name: "pi-1", role: farm.RoleSlave,
		pub: "farm.v1.slave.pi-1.hello farm.v1.slave.pi-1.next farm.v1.slave.pi-1.beat farm.v1.slave.pi-1.report farm.v1.slave.pi-1.log.7",
		noPub: "farm.v1.slave.pi-2.hello farm.v1.slave.pi-2.report farm.v1.slave.pi-1.control farm.v1.slave.pi-2.control farm.v1.slave.pi.log.7 " +
			"farm.v1.event.built farm.v1.ask.snapshot _INBOX.pi-1.x _INBOX.pi-2.x _INBOX.master_master.x other $SYS.REQ.SERVER.PING $SYS.REQ.USER.INFO",
		sub: "farm.v1.slave.pi-1.control _INBOX.pi-1.x.*",
		noSub: "> *.> farm.> farm.v1.slave.> farm.v1.slave.pi-1.> farm.v1.slave.pi-1.next farm.v1.slave.pi-2.next farm.v1.slave.*.next " +
			"farm.v1.slave.pi-2.control farm.v1.slave.*.control _INBOX.> _INBOX.*.x.* _INBOX.pi-2.> _INBOX.monitor_pi-1.> _INBOX.master_master.> " +
			"farm.v1.event.> farm.v1.slave.pi-1.log.7 $SYS.>",
	}, {
		name: "pi-1", role: farm.RoleMonitor, // the name of a slave: still not his inbox
		pub: "farm.v1.ask.monitor.pi-1.snapshot farm.v1.ask.monitor.pi-1.log",
		noPub: "farm.v1.ask.control farm.v1.ask.control.pi-1 farm.v1.ask.control.anna farm.v1.ask.monitor.pi-2.snapshot farm.v1.ask.operator.pi-1.snapshot " +
			"farm.v1.ask.monitor.pi-1 farm.v1.ask.snapshot farm.v1.slave.pi-1.control farm.v1.slave.pi-1.next farm.v1.slave.pi-1.log.7 " +
			"farm.v1.event.built _INBOX.pi-1.x _INBOX.monitor_pi-1.x",
		sub: "farm.v1.event.> farm.v1.slave.*.log.* farm.v1.slave.pi-1.log.7 _INBOX.monitor_pi-1.x.*",
		noSub: "> farm.v1.> farm.v1.ask.> farm.v1.ask.monitor.pi-1.snapshot farm.v1.ask.control.* farm.v1.slave.> farm.v1.slave.*.report farm.v1.slave.*.control " +
			"_INBOX.> _INBOX.pi-1.> _INBOX.operator_pi-1.> $SYS.>",
	}, {
		name: "anna", role: farm.RoleOperator,
		pub:   "farm.v1.ask.operator.anna.snapshot farm.v1.ask.operator.anna.log farm.v1.ask.control.anna",
		noPub: "farm.v1.ask.control.otto farm.v1.ask.operator.otto.log farm.v1.ask.monitor.anna.log farm.v1.ask.control farm.v1.slave.pi-1.control farm.v1.slave.pi-1.report farm.v1.event.built _INBOX.pi-1.x",
		sub:   "farm.v1.event.> farm.v1.slave.*.log.* _INBOX.operator_anna.x.*",
		noSub: "> farm.v1.ask.> farm.v1.ask.control.anna farm.v1.slave.*.next _INBOX.> _INBOX.pi-1.> $SYS.>",
	}}
}

func TestRights(t *testing.T) {
	t.Parallel()
	f := bustest.Start(t)
	publish := func(nc *nats.Conn, subject string) error { return nc.Publish(subject, nil) }
	subscribe := func(nc *nats.Conn, subject string) error {
		_, err := nc.Subscribe(subject, func(*nats.Msg) {})
		return err
	}
	queue := func(nc *nats.Conn, subject string) error {
		_, err := nc.QueueSubscribe(subject, "masters", func(*nats.Msg) {})
		return err
	}
	for _, r := range rightsTable() {
		t.Run(string(r.role), func(t *testing.T) {
			t.Parallel()
			allowed(t, f, r, "publish to", publish, r.pub, true)
			allowed(t, f, r, "publish to", publish, r.noPub, false)
			allowed(t, f, r, "subscribe to", subscribe, r.sub, true)
			allowed(t, f, r, "subscribe to", subscribe, r.noSub, false)
			allowed(t, f, r, "share", queue, r.noSub, false)
		})
	}
}

// allowed tries each subject on a connection of its own, because the server's
// last word on it is kept there.
func allowed(t *testing.T, f *bustest.Farm, r rights, verb string, do func(*nats.Conn, string) error, subjects string, want bool) {
	t.Helper()
	for _, subject := range strings.Fields(subjects) {
		nc := dial(t, f, r.name, r.role)
		if err := do(nc, subject); err != nil {
			t.Fatal(err)
		}
		// The server answers in order: once the flush is back, so is its refusal.
		if err := nc.FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
		got := !errors.Is(nc.LastError(), nats.ErrPermissionViolation)
		if got != want {
			t.Errorf("%s %s may %s %s: %v, want %v", r.role, r.name, verb, subject, got, want)
		}
		nc.Close()
	}
}

// The master has more rights than a slave, and writes where a request tells it
// to: a slave must not borrow them that way.
func TestAnswersGoToTheSendersInboxOnly(t *testing.T) {
	t.Parallel()
	f := bustest.Start(t)
	lines, log := newLog()
	creds, err := f.Authority.MasterCreds()
	if err != nil {
		t.Fatal(err)
	}
	master := connect(t, bus.Options{URL: f.Server.URL(), Creds: creds, Log: log})
	handled := make(chan string, 10)
	stop, err := master.HandleBeat(func(_ context.Context, slave string, m bus.Beat) bus.BeatReply {
		handled <- m.Doing
		return bus.BeatReply{}
	})
	started(t, stop, err)
	raw := dial(t, f, "pi-1", farm.RoleSlave)
	for _, reply := range []string{"farm.v1.slave.pi-2.control", "farm.v1.slave.pi-2.report", "_INBOX.pi-2.x", "_INBOX.pi-1", "farm.v1.event.built"} {
		if err := raw.PublishRequest("farm.v1.slave.pi-1.beat", reply, []byte(`{"protocol":1,"doing":"evil"}`)); err != nil {
			t.Fatal(err)
		}
		lines.wait(t, "is not the sender's own")
	}
	if err := raw.Publish("farm.v1.slave.pi-1.beat", []byte(`{"protocol":1,"doing":"evil"}`)); err != nil {
		t.Fatal(err)
	}
	lines.wait(t, "is not the sender's own")
	if _, err := f.Slave(t, "pi-1").Slave("pi-1").Beat(ctx(t), bus.Beat{Doing: "good"}); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, handled, "beat"); got != "good" {
		t.Errorf("the handler was called for the %s beat", got)
	}
}

// A log's body may claim any job; its subject cannot.
func TestLogOfAnotherJobIsDropped(t *testing.T) {
	t.Parallel()
	f := bustest.Start(t)
	chunks := make(chan bus.LogChunk, 10)
	stop, err := f.Master.WatchLog("pi-1", 7, func(_ string, c bus.LogChunk) { chunks <- c })
	started(t, stop, err)
	raw := dial(t, f, "pi-1", farm.RoleSlave)
	for _, body := range []string{`{"protocol":1,"job":8}`, `junk`, `{"protocol":1,"job":7,"data":"aGk="}`} {
		if err := raw.Publish("farm.v1.slave.pi-1.log.7", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if c := receive(t, chunks, "piece of log"); c.Job != 7 || string(c.Data) != "hi" {
		t.Errorf("got %v", c)
	}
}

func TestWhoMayConnect(t *testing.T) {
	t.Parallel()
	f, other := bustest.Start(t), bustest.Start(t)
	_, err := bus.Connect(ctx(t), bus.Options{URL: f.Server.URL(), Creds: other.Creds(t, "pi-1", farm.RoleSlave), Log: zerolog.Nop(), Wait: true})
	if !errors.Is(err, bus.ErrCredentials) || !strings.Contains(err.Error(), "slave pi-1") {
		t.Errorf("another farm's credentials: %v, want ErrCredentials about slave pi-1", err)
	}
	for what, creds := range map[string][]byte{"none": nil, "junk": []byte("junk"), "a JWT alone": f.Creds(t, "pi-1", farm.RoleSlave)[:900]} {
		if _, err := bus.Connect(ctx(t), bus.Options{URL: f.Server.URL(), Creds: creds, Log: zerolog.Nop()}); !errors.Is(err, bus.ErrCredentials) {
			t.Errorf("credentials %s: %v, want ErrCredentials", what, err)
		}
	}
	if nc, err := nats.Connect(f.Server.URL()); !errors.Is(err, nats.ErrAuthorization) {
		nc.Close()
		t.Errorf("a stranger without credentials: %v, want a refusal", err)
	}
	nc, err := nats.Connect(f.Server.URL(), nats.UserCredentialBytes(mixed(t, f)))
	if !errors.Is(err, nats.ErrAuthorization) {
		nc.Close()
		t.Errorf("somebody's JWT with another's seed: %v, want a refusal", err)
	}
	if _, err := bus.Connect(ctx(t), bus.Options{URL: f.Server.URL(), CredsFile: "/nowhere/pi.creds"}); err == nil || !strings.Contains(err.Error(), "/nowhere/pi.creds") {
		t.Errorf("a missing credentials file: %v", err)
	}
}

// mixed is the public half of one identity with the secret of another.
func mixed(t *testing.T, f *bustest.Farm) []byte {
	t.Helper()
	const middle = "------END NATS USER JWT------"
	a, _, ok1 := strings.Cut(string(f.Creds(t, "pi-1", farm.RoleSlave)), middle)
	_, b, ok2 := strings.Cut(string(f.Creds(t, "pi-2", farm.RoleSlave)), middle)
	if !ok1 || !ok2 {
		t.Fatal("a credentials file looks different than it did")
	}
	return []byte(a + middle + b)
}

func TestInProcessOnly(t *testing.T) {
	t.Parallel()
	a, err := bus.OpenAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server, err := natsserver.Start(natsserver.Config{Authority: a, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	creds, err := a.MasterCreds()
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, bus.Options{InProcess: server, Creds: creds, Log: zerolog.Nop()})
	if !c.Connected() || server.URL() != "" {
		t.Errorf("connected %v, URL %q", c.Connected(), server.URL())
	}
}
