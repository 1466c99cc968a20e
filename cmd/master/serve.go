package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/bus"
	"pinwheel/internal/bus/natsserver"
	"pinwheel/internal/certs"
	"pinwheel/internal/cli"
	"pinwheel/internal/clock"
	"pinwheel/internal/collect"
	"pinwheel/internal/config"
	"pinwheel/internal/depot"
	"pinwheel/internal/desk"
	"pinwheel/internal/dispatch"
	"pinwheel/internal/farm"
	"pinwheel/internal/ingest"
	"pinwheel/internal/metrics"
	"pinwheel/internal/publish"
	"pinwheel/internal/service"
	"pinwheel/internal/stats"
	"pinwheel/internal/store"
	"pinwheel/internal/web"
)

// gcPercent is how much garbage there may be, in percent of what is in use. A collection takes
// half a processor from claims for some milliseconds; with 100, the usual, there are twice as
// many, and beside many events they are felt. What it costs is a tenth of the budget of memory.
const gcPercent = 200

func newServe() *cobra.Command {
	var set settings
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the farm's master",
		Long: `serve runs every stage of the farm until SIGINT or SIGTERM. When it is ready it
prints one line of JSON with its URLs. It then finishes what it writes; a second
signal ends it at once, which loses nothing.`,
		Example: "  master serve --state-dir /var/lib/pinwheel --listen :7070 --public-url http://farm.example:7070",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := set.check(); err != nil {
				return err
			}
			log, err := cli.Logger(cmd)
			if err != nil {
				return err
			}
			debug.SetGCPercent(gcPercent)
			drain, abandon, stop := service.Signals(cmd.Context())
			defer stop()
			// The second signal loses no more than kill -9 does, which is nothing.
			defer context.AfterFunc(abandon, func() { abandoned(cmd.Context(), log) })()
			boss := service.Supervised(log)
			m, err := startMaster(drain, set, log)
			if err != nil {
				return stopped(drain, err)
			}
			defer m.Close()
			ctx, end := m.supervised(drain, abandon, boss)
			defer end()
			// The site is served while an external NATS is awaited: pip needs none.
			return stopped(drain, service.RunAll(ctx,
				service.Part{Name: "master", Run: m.Run},
				service.Part{Name: "ready", Run: func(ctx context.Context) error { return m.announce(ctx, cmd.OutOrStdout(), boss) }},
			))
		},
	}
	set.serveFlags(cmd)
	return cmd
}

// announce prints the line that says where the farm is, once it can be used.
func (m *Master) announce(ctx context.Context, out io.Writer, boss *service.Supervisor) error {
	if err := m.Ready(ctx); err != nil {
		return err
	}
	ready := map[string]any{"schema": 1, "ready": true, "url": m.URL, "nats": m.NATSURL}
	if m.figures != nil {
		ready["metrics"] = "http://" + reachable(m.figures.Addr().(*net.TCPAddr))
	}
	if err := json.NewEncoder(out).Encode(ready); err != nil {
		return err
	}
	boss.Status("serving " + m.URL)
	<-ctx.Done()
	return ctx.Err()
}

// abandoned ends the process, if it was a signal that asked for it.
func abandoned(ctx context.Context, log zerolog.Logger) {
	if ctx.Err() == nil {
		log.Warn().Msg("ended at once, by a second signal")
		os.Exit(1)
	}
}

// stopped makes no error of an end that a signal asked for.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Master is a running farm's head: a value that the command, the demo and the
// tests start alike.
type Master struct {
	URL      string // base of the site and of uploads
	NATSURL  string
	Upstream string

	Store    *store.Store
	Depot    *depot.Local
	Settings settings
	Ingest   *ingest.Ingest
	Follower *ingest.Follower
	home     *home
	conn     *bus.Conn
	certs    *certs.Certs       // nil: no TLS
	metrics  *metrics.Metrics   // nil: nobody asks for them
	nats     *natsserver.Server // nil: an external one

	log        zerolog.Logger
	rules      *ruleBook
	dispatcher *dispatch.Dispatcher
	collector  *collect.Collector
	publisher  *publish.Publisher
	desk       *desk.Desk
	httpd      *http.Server
	listener   net.Listener
	figures    net.Listener  // of metrics; nil: none
	revoked    chan struct{} // wakes whoever tells the NATS server
	closers    []func()
	now        func() time.Time // of day
}

// startMaster opens everything that a master needs and wires the stages in the
// order of the flow. When it returns, the addresses are taken; Run serves them.
func startMaster(ctx context.Context, set settings, log zerolog.Logger) (_ *Master, err error) {
	set = set.fill()
	now, err := clock.Now()
	if err != nil {
		return nil, err
	}
	m := &Master{Settings: set, log: log, now: now, revoked: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			m.Close()
		}
	}()
	if m.certs, err = set.certificates(now, log); err != nil {
		return nil, err
	}
	if m.home, err = lockHome(set); err != nil {
		return nil, err
	}
	m.closers = append(m.closers, m.home.Close)
	if set.Metrics != "" {
		m.metrics = metrics.New(cli.Version())
		m.home.trace = m.metrics.Tracer()
	}
	// What can be refused comes before anything is made.
	if m.rules, err = openRules(set.Rules, log); err != nil {
		return nil, err
	}
	if m.Upstream, err = findUpstream(ctx, set); err != nil {
		return nil, err
	}
	if err = m.listen(ctx); err != nil {
		return nil, err
	}
	if err = m.listenMetrics(ctx); err != nil {
		return nil, err
	}
	if err = m.startNATS(); err != nil {
		return nil, err
	}
	if err = m.home.open(ctx, log); err != nil {
		return nil, err
	}
	m.Store = m.home.Store
	if err = m.sameUpstream(ctx); err != nil {
		return nil, err
	}
	if m.Depot, err = depot.Open(set.DepotDir); err != nil {
		return nil, err
	}
	conn, err := m.startBus(ctx)
	if err != nil {
		return nil, err
	}
	return m, m.wire(ctx, conn)
}

// wire is the pipeline, in the order of the flow (docs/life-of-a-wheel.md).
func (m *Master) wire(ctx context.Context, conn *bus.Conn) (err error) {
	key, err := m.Store.Secret(ctx, "upload")
	if err != nil {
		return err
	}
	// For the commands beside us: they must ask the index that slaves build from.
	if err := m.Store.Settle(ctx, store.UpstreamSetting, m.Upstream); err != nil {
		return err
	}
	if err := m.settleViews(ctx); err != nil {
		return err
	}
	m.wireIngest()
	m.dispatcher = dispatch.New(dispatch.Config{
		Store: m.Store, HTTP: m.URL, Upstream: m.Upstream, Lease: m.Settings.Lease, Limits: m.Settings.limits(),
		ProjectLeases: m.Settings.ProjectLeases, Wire: conn.Connected, Tell: m.tell, Log: m.log,
	})
	m.collector = collect.New(collect.Config{
		Store: m.Store, Depot: depotForCollect{m.Depot}, HTTP: m.URL, Key: key, Rules: m.rules.now, Log: m.log,
		Scratch: m.Settings.StateDir,
		Retry: farm.RetryPolicy{SlaveFaults: m.Settings.SlaveFaults, LongTimeout: m.Settings.LongTimeout,
			BuildTimeout: m.Settings.limits().Timeout, BuildMemory: m.Settings.limits().Memory},
		Tell: func(e bus.Event) {
			m.metrics.Ended(e)
			m.tell(e)
		},
		Abort: func(slave, token string) { _ = conn.SendControl(slave, bus.Control{Do: bus.DoAbort, Token: token}) },
	})
	m.closers = append(m.closers, m.collector.Close) // after its handlers, before the database
	m.publisher, err = publish.New(publish.Config{
		Store: m.Store, Depot: m.Depot, SiteDir: m.Settings.SiteDir, RootEvery: m.Settings.RootEvery, Log: m.log, Now: m.now,
	})
	if err != nil {
		return err
	}
	m.httpd.Handler = m.metrics.HTTP(web.New(web.Config{
		Store: m.Store, Depot: m.Depot, SiteDir: m.Settings.SiteDir, Log: m.log,
		Upload: m.collector.Upload(), Version: cli.Version(), Now: m.now,
	}))
	m.desk = m.newDesk()
	m.metrics.Watch(m.farm())
	return m.answer(conn)
}

// answer registers the stages on the bus; their subscriptions end with conn.
func (m *Master) answer(conn *bus.Conn) error {
	for _, register := range []func() (func(), error){
		func() (func(), error) { return conn.HandleHello(m.metrics.Hello(m.dispatcher.Hello)) },
		func() (func(), error) { return conn.OverhearHello(m.dispatcher.Overheard) },
		func() (func(), error) { return conn.HandleNext(m.metrics.Next(m.dispatcher.Next)) },
		func() (func(), error) { return conn.HandleBeat(m.metrics.Beat(m.dispatcher.Beat)) },
		func() (func(), error) { return conn.HandleReport(m.metrics.Report(m.collector.Report)) },
		func() (func(), error) { return conn.HandleLook(m.desk.Look) },
		func() (func(), error) { return conn.HandleLog(m.desk.LogPart) },
		func() (func(), error) { return conn.HandleSteer(m.desk.Steer) },
	} {
		stop, err := register()
		if err != nil {
			return err
		}
		m.closers = append(m.closers, stop)
	}
	return nil
}

// listen takes the HTTP address, so that URLs are known before anybody is told.
func (m *Master) listen(ctx context.Context) (err error) {
	var lc net.ListenConfig
	m.listener, err = lc.Listen(ctx, "tcp", m.Settings.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; choose another with --listen", m.Settings.Listen, err)
	}
	m.closers = append(m.closers, func() { m.listener.Close() })
	m.httpd = web.Server("", nil)
	m.httpd.ErrorLog = webLog(m.log)
	m.URL, err = m.siteURL()
	return err
}

// reachable names an address that a client on this machine can use: "any
// address" is none.
func reachable(a *net.TCPAddr) string {
	host := a.IP.String()
	if a.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, fmt.Sprint(a.Port))
}

// startNATS takes the wire's address before a database is made. A slave that
// comes at once finds nobody who answers, and asks again.
func (m *Master) startNATS() error {
	m.NATSURL = config.Hide(m.Settings.NATSURL)
	if m.Settings.NATSURL != "" {
		return nil
	}
	authority, err := m.home.Authority()
	if err != nil {
		return err
	}
	m.nats, err = natsserver.Start(natsserver.Config{Listen: m.Settings.NATSListen, Authority: authority, TLS: m.serverTLS(), Log: m.log})
	if err != nil {
		return fmt.Errorf("%w; choose another with --nats-listen", err)
	}
	m.closers = append(m.closers, m.nats.Close)
	m.NATSURL = m.nats.URL()
	return nil
}

// startBus gives the master its end of the wire: to its own server, or to one
// that others run.
func (m *Master) startBus(ctx context.Context) (*bus.Conn, error) {
	opts, err := m.home.masterEnd(m.log)
	if err != nil {
		return nil, err
	}
	if m.nats != nil {
		opts.InProcess = m.nats
	} else if m.Settings.TLSCA != "" {
		opts.TLS = m.certs
	}
	if m.conn, err = bus.Connect(ctx, opts); err != nil {
		return nil, unwelcome(err)
	}
	m.closers = append(m.closers, m.conn.Close)
	return m.conn, nil
}

// Ready returns when the master can be reached by slaves and by pip.
func (m *Master) Ready(ctx context.Context) error { return m.conn.Await(ctx) }

// Run serves until ctx ends or something breaks that only a restart can mend.
func (m *Master) Run(ctx context.Context) error {
	return service.RunAll(ctx,
		service.Part{Name: "database", Run: m.home.Watch},
		service.Part{Name: "ingest", Run: m.Follower.Run},
		service.Part{Name: "dispatch", Run: m.dispatcher.Run},
		service.Part{Name: "orders", Run: m.orders},
		service.Part{Name: "copies", Run: m.collector.Copies},
		service.Part{Name: "publish", Run: m.publisher.Run},
		service.Part{Name: "web", Run: m.serveHTTP},
		service.Part{Name: "certificates", Run: m.watchCertificates},
		service.Part{Name: "metrics", Run: m.serveMetrics},
		service.Part{Name: "counts", Run: func(ctx context.Context) error { return m.metrics.Count(ctx, m.Store, m.log) }},
		service.Part{Name: "stats", Run: func(ctx context.Context) error { return stats.Run(ctx, m.Store, m.log) }},
	)
}

// serveHTTP gives requests under way a moment to end, but not the long ones: a
// slave that uploads tries again.
func (m *Master) serveHTTP(ctx context.Context) error {
	broken := make(chan error, 1)
	go func() { broken <- m.accept() }()
	select {
	case err := <-broken:
		return err
	case <-ctx.Done():
	}
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if m.httpd.Shutdown(short) != nil {
		m.httpd.Close()
	}
	<-broken
	return ctx.Err()
}

// Close ends what startMaster opened, last first. The database comes last of
// all, so that whoever still finishes can write.
func (m *Master) Close() {
	for i := len(m.closers) - 1; i >= 0; i-- {
		m.closers[i]()
	}
	m.closers = nil
}
