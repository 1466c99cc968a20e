package bench_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/proc"
)

// What a busy farm has to bear, several times of what PyPI ever says.
const (
	eventRate   = 10_000 // a minute, each about another project
	eventLong   = 3 * time.Minute
	eventShort  = 20 * time.Second // of a farm too small to tell much
	eventNames  = 100_000          // from here on it is large enough
	claimRate   = 100              // a second, in an open loop
	claimSlaves = 20
)

// served is a running `master serve` on the farm's database.
type served struct {
	f      *full
	master string // the program
	state  string
	nats   string
	cmd    *exec.Cmd
}

// serve starts a master that follows an index.
func (f *full) serve(b *testing.B, index string) *served {
	b.Helper()
	user, err := proc.PostgresUser()
	f.must(b, err)
	dir, err := proc.SharedTempDir("pinwheel-bench-", user)
	f.must(b, err)
	b.Cleanup(func() { os.RemoveAll(dir) })
	s := &served{f: f, master: program(b, dir, "master"), state: filepath.Join(dir, "state")}
	s.cmd = exec.Command(s.master, "serve", "--state-dir", s.state, "--database-url", f.dsn, "--listen", "127.0.0.1:0",
		"--nats-listen", "127.0.0.1:0", "--upstream", index+"/simple/")
	out, err := s.cmd.StdoutPipe()
	f.must(b, err)
	start(b, s.cmd)
	var ready struct {
		NATS string `json:"nats"`
	}
	f.must(b, json.NewDecoder(bufio.NewReader(out)).Decode(&ready))
	s.nats = ready.NATS
	return s
}

// slave enrolls one, connects it, and says hello.
func (s *served) slave(b *testing.B, name string) *bus.SlaveEnd {
	b.Helper()
	creds := s.enroll(b, name)
	conn, err := bus.Connect(b.Context(), bus.Options{URL: s.nats, Creds: creds, Label: name, Log: zerolog.Nop()})
	s.f.must(b, err)
	b.Cleanup(conn.Close)
	slave := conn.Slave(name)
	w, err := slave.Hello(b.Context(), bus.Hello{Targets: []bus.ServedTarget{{Target: target}}})
	s.f.must(b, err)
	if w.Error != "" {
		b.Fatal(w.Error)
	}
	return slave
}

// events measures claims while releases come in, and how long these take from the
// upstream's word to their rows.
func (f *full) events(b *testing.B) {
	index := &telling{latest: map[string]int{}}
	front := httptest.NewServer(index)
	b.Cleanup(front.Close)
	before := f.count(b, `select count(*) from releases`)
	f.settle(b)
	s := f.serve(b, front.URL)
	f.await(b, index)
	r := &rig{b: b, dsn: f.dsn, store: f.store, done: make(chan int64, 1<<16), held: map[string]int64{}}
	r.endBuilds()
	for n := range claimSlaves {
		r.slaves = append(r.slaves, s.slave(b, fmt.Sprintf("e%d-%d", time.Now().UnixNano(), n)))
	}
	long := eventLong
	if f.count(b, `select count(*) from packages`) < eventNames {
		long = eventShort
	}
	// The plain case, on the same farm: as many claims, and nothing else happens.
	ctx, cancel := context.WithTimeout(b.Context(), long)
	alone := r.openLoop(ctx, claimRate)
	cancel()
	ctx, cancel = context.WithTimeout(b.Context(), long)
	defer cancel()
	var wg sync.WaitGroup
	var took []time.Duration
	var told int
	wg.Go(func() { took = r.openLoop(ctx, claimRate) })
	wg.Go(func() { told = f.tellAll(ctx, b, index) })
	lag, most := f.watchReading(ctx, b)
	wg.Wait()
	f.await(b, index)
	if got := f.count(b, `select count(*) from releases`) - before; got != int64(told) {
		b.Errorf("%d events, %d new releases", told, got)
	}
	b.ReportMetric(float64(told)/long.Minutes(), "events/min")
	b.ReportMetric(quantile(lag, 0.5)/1000, "lag-p50-s")
	b.ReportMetric(quantile(lag, 1)/1000, "lag-max-s")
	b.ReportMetric(float64(most), "list-max")
	b.ReportMetric(float64(len(took))/long.Seconds(), "claims/s")
	b.ReportMetric(quantile(took, 0.5), "p50-ms")
	b.ReportMetric(quantile(took, 0.99), "p99-ms")
	b.ReportMetric(quantile(alone, 0.5), "alone-p50-ms")
	b.ReportMetric(quantile(alone, 0.99), "alone-p99-ms")
	s.memory(b)
	b.ReportMetric(0, "ns/op")
}

// settle lets the database do what a load leaves to it, once in a farm's life, which would
// go on under what is measured.
func (f *full) settle(b *testing.B) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), f.dsn)
	f.must(b, err)
	defer conn.Close(context.Background())
	for _, q := range []string{`vacuum analyze packages, releases, jobs, reading`, `checkpoint`} {
		_, err := conn.Exec(b.Context(), q)
		f.must(b, err)
	}
}

func (s *served) memory(b *testing.B) {
	most, err := hwm(s.cmd.Process.Pid)
	s.f.must(b, err)
	b.ReportMetric(float64(most)/1e6, "master-MB")
}

// openLoop asks for jobs at a rate; a request's time counts from its tick.
func (r *rig) openLoop(ctx context.Context, rate int) (took []time.Duration) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	ticks := make(chan time.Time, 1<<16)
	for _, slave := range r.slaves {
		wg.Go(func() {
			for at := range ticks {
				if _, err := r.ask(slave, rand.Text()); err != nil {
					r.b.Error(err)
					return
				}
				mu.Lock()
				took = append(took, time.Since(at))
				mu.Unlock()
			}
		})
	}
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			ticks <- time.Now()
		}
	}
	close(ticks)
	wg.Wait()
	return took
}

// tellAll releases new versions at the rate, every time of the next project.
func (f *full) tellAll(ctx context.Context, b *testing.B, index *telling) (told int) {
	d, err := drawnFrom(os.Getenv)
	f.must(b, err)
	began := time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for name, err := range d.names() {
		f.must(b, err)
		if _, known := index.latest[name]; known {
			continue
		}
		for told >= int(time.Since(began).Minutes()*eventRate) {
			select {
			case <-ctx.Done():
				return told
			case <-tick.C:
			}
		}
		index.tell(name)
		told++
	}
	return told
}

// watchReading looks every second how old the oldest event is that is not written
// yet, and how many there are.
func (f *full) watchReading(ctx context.Context, b *testing.B) (lag []time.Duration, most int64) {
	const q = `select count(*), coalesce(extract(epoch from clock_timestamp() - min(since)), 0)::float8 from reading`
	conn, err := pgx.Connect(b.Context(), f.dsn)
	f.must(b, err)
	defer conn.Close(context.Background())
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return lag, most
		case <-tick.C:
			var n int64
			var age float64
			f.must(b, conn.QueryRow(b.Context(), q).Scan(&n, &age))
			lag, most = append(lag, time.Duration(age*float64(time.Second))), max(most, n)
		}
	}
}

// await returns when the farm has heard all that was told, and written it.
func (f *full) await(b *testing.B, index *telling) {
	b.Helper()
	index.mu.Lock()
	last := pypiSerial + int64(len(index.told))
	index.mu.Unlock()
	f.until(b, `select count(*) from following where serial >= $1 and source = 'changelog' and not exists (select 1 from reading)
		and not exists (select 1 from walks where ended_at is null)`, last)
}

// until asks every half second until something is counted.
func (f *full) until(b *testing.B, q string, args ...any) {
	b.Helper()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for f.count(b, q, args...) == 0 {
		select {
		case <-b.Context().Done():
			b.Fatal(b.Context().Err())
		case <-tick.C:
		}
	}
}

// fourth adds a target that no slave serves yet, and waits until every release has
// its job there.
func (f *full) fourth(b *testing.B) {
	front := httptest.NewServer(&telling{latest: map[string]int{}})
	b.Cleanup(front.Close)
	s := f.serve(b, front.URL)
	f.until(b, `select count(*) from following where fingerprint <> '' and not exists (select 1 from walks where ended_at is null)`)
	abi := fmt.Sprintf("cp3%d", 14+f.count(b, `select count(*) from targets where rank > 313`))
	began := time.Now()
	out, err := exec.Command(s.master, "target", "add", abi+"-linux_armv7l", "--state-dir", s.state, "--database-url", f.dsn).CombinedOutput()
	if err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	planned := func() int64 { // by the plan that knows the target
		return f.count(b, `select count(*) from following where strpos(fingerprint, $1) > 0`, abi+"-linux")
	}
	for planned() == 0 {
		<-tick.C
		fmt.Fprintln(os.Stderr, time.Since(began).Round(time.Second), f.count(b, `select coalesce(max(chosen), 0) from walks where ended_at is null`), "projects planned")
	}
	b.ReportMetric(time.Since(began).Seconds(), "plan-s")
	jobs := f.count(b, `select count(*) from jobs j join targets t on t.id = j.target_id where t.abi = $1`, abi)
	if want := f.count(b, `select count(*) from releases`); jobs != want {
		b.Errorf("%d jobs on the fourth target, %d releases", jobs, want)
	}
	b.ReportMetric(float64(jobs)/time.Since(began).Seconds(), "jobs/s")
	s.memory(b)
	b.ReportMetric(0, "ns/op")
}
