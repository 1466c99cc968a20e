package bench_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/wheeltest"
)

// beCrew makes this program a crew of slaves, told by its standard input, so that
// what they cost is not the master's, and no memory is shared with it.
const beCrew = "PINWHEEL_BENCH_CREW"

// crewTask is what a crew is to do.
type crewTask struct {
	NATS   string            `json:"nats"`
	Slaves map[string][]byte `json:"slaves"` // credentials by name
	Long   time.Duration     `json:"long"`
	Log    int               `json:"log"`   // bytes of each build's log
	Wheel  int               `json:"wheel"` // bytes of each build's wheel; 0: all fail
	Build  time.Duration     `json:"build"` // how long each takes; 0: no think time
	Hello  bool              `json:"hello"` // say hello and beat, as the agent does
}

// window is what jobs are counted by.
const window = 10 * time.Second

// crewTale is what a crew has done.
type crewTale struct {
	Windows  []int64         `json:"windows"` // jobs accepted in each
	Seconds  float64         `json:"seconds"`
	Next     []time.Duration `json:"next"`     // asked until the lease is in hand
	Accepted []time.Duration `json:"accepted"` // first report until it is accepted, uploads included
	Empty    int64           `json:"empty"`    // answers without a lease
	Trouble  []string        `json:"trouble"`

	cpu time.Duration // of its process
}

// crew is a number of slaves without builder and disk: what they bring is made up,
// but goes the way that a slave's result goes.
type crew struct {
	crewTask
	began   time.Time
	windows []atomic.Int64
	empty   atomic.Int64

	mu   sync.Mutex
	tale crewTale
}

func runCrew(in io.Reader, out io.Writer) error {
	c := &crew{}
	if err := json.NewDecoder(in).Decode(&c.crewTask); err != nil {
		return err
	}
	debug.SetGCPercent(400) // its memory is nobody's, and its processors are the farm's too
	c.windows = make([]atomic.Int64, c.Long/window+2)
	var ends []*bus.SlaveEnd
	for name, creds := range c.Slaves {
		conn, err := bus.Connect(context.Background(), bus.Options{URL: c.NATS, Creds: creds, Label: name, Log: zerolog.Nop()})
		if err != nil {
			return err
		}
		defer conn.Close()
		ends = append(ends, conn.Slave(name))
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.Long)
	defer cancel()
	c.began = time.Now()
	var all sync.WaitGroup
	for _, end := range ends {
		all.Go(func() { c.slave(ctx, end) })
	}
	all.Wait()
	c.tale.Seconds, c.tale.Empty = min(time.Since(c.began), c.Long).Seconds(), c.empty.Load()
	for i := range c.windows {
		c.tale.Windows = append(c.tale.Windows, c.windows[i].Load())
	}
	return json.NewEncoder(out).Encode(c.tale)
}

// slave works until ctx ends; what it has then, it brings home.
func (c *crew) slave(ctx context.Context, end *bus.SlaveEnd) {
	m := &member{crew: c, end: end, http: &http.Client{Transport: &http.Transport{}}}
	defer m.http.CloseIdleConnections()
	if err := m.work(ctx); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.tale.Trouble) < 10 {
			c.tale.Trouble = append(c.tale.Trouble, end.Name()+": "+err.Error())
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tale.Next = append(c.tale.Next, m.next...)
	c.tale.Accepted = append(c.tale.Accepted, m.accepted...)
}

// unreported is how many results a slave may have before it asks for no more work, the
// agent's maxUnreported. It does not wait for one to be accepted: all go home while the
// next build runs.
const unreported = 8

// member is one slave of a crew.
type member struct {
	*crew
	end            *bus.SlaveEnd
	http           *http.Client
	next, accepted []time.Duration

	holds sync.Mutex
	held  []string // tokens of what it builds, or has not reported
}

func (m *member) work(ctx context.Context) error {
	if m.Hello {
		w, err := m.end.Hello(ctx, bus.Hello{Version: "bench", Targets: []bus.ServedTarget{{Target: target}}, Memory: 1 << 30})
		if err != nil {
			return err
		}
		var beats sync.WaitGroup
		beats.Go(func() { m.beat(ctx, w.Beat) })
		defer beats.Wait()
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	room, finished := make(chan struct{}, unreported), make(chan farm.Lease, unreported)
	reported := make(chan error, 1)
	go func() {
		defer end()
		reported <- m.reports(context.WithoutCancel(ctx), end, finished, room)
	}()
	err := m.builds(ctx, room, finished)
	close(finished)
	return errors.Join(err, <-reported)
}

// builds takes one job after the other, while there is room for its result.
func (m *member) builds(ctx context.Context, room chan<- struct{}, finished chan<- farm.Lease) error {
	for {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		lease, err := m.ask(ctx)
		if lease == nil || err != nil {
			return err
		}
		m.hold(lease.Token)
		if m.Build > 0 {
			select {
			case <-time.After(m.Build):
			case <-ctx.Done():
				return nil
			}
		}
		finished <- *lease
	}
}

// ask returns nil when ctx ends.
func (m *member) ask(ctx context.Context) (*farm.Lease, error) {
	for {
		asked := time.Now()
		reply, err := m.end.Next(ctx, bus.Next{Request: rand.Text(), Targets: []farm.Target{target}, Held: m.holding()})
		switch {
		case ctx.Err() != nil:
			return nil, nil
		case err != nil:
			return nil, err
		case reply.Lease != nil:
			m.next = append(m.next, time.Since(asked))
			return reply.Lease, nil
		}
		m.empty.Add(1)
	}
}

// reports brings home what is finished, all at the same time, as the agent does. A failure
// is the end.
func (m *member) reports(ctx context.Context, end func(), finished <-chan farm.Lease, room <-chan struct{}) error {
	var group errgroup.Group
	for lease := range finished {
		group.Go(func() error {
			if err := m.deliver(ctx, lease); err != nil {
				end()
				return err
			}
			m.letGo(lease.Token)
			<-room
			return nil
		})
	}
	return group.Wait()
}

func (m *member) hold(token string) {
	m.holds.Lock()
	defer m.holds.Unlock()
	m.held = append(m.held, token)
}

func (m *member) letGo(token string) {
	m.holds.Lock()
	defer m.holds.Unlock()
	m.held = slices.DeleteFunc(m.held, func(t string) bool { return t == token })
}

func (m *member) holding() []string {
	m.holds.Lock()
	defer m.holds.Unlock()
	return append([]string{}, m.held...)
}

func (m *member) beat(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			// What is lost is said again, as an agent does.
			_, _ = m.end.Beat(ctx, bus.Beat{Held: m.holding(), Doing: "building", Load: 1, Temperature: 50, MemoryFree: 1 << 29, DiskFree: 1 << 33})
		}
	}
}

// deliver does what the agent does with a result: report, send what is asked for,
// report again.
func (m *member) deliver(ctx context.Context, l farm.Lease) error {
	r, files := m.result(l)
	began := time.Now()
	for range 3 {
		reply, err := m.end.Report(ctx, r)
		if err != nil {
			return err
		}
		if reply.Accepted {
			if reply.Reason != "" {
				return fmt.Errorf("job %d: %s", l.Job, reply.Reason)
			}
			m.holds.Lock()
			m.accepted = append(m.accepted, time.Since(began))
			m.holds.Unlock()
			m.windows[min(time.Since(m.began)/window, time.Duration(len(m.windows)-1))].Add(1)
			return nil
		}
		for _, need := range reply.Need {
			if err := upload(ctx, m.http, need.URL, need.Token, files[need.SHA256]); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("job %d: files were asked for again", l.Job)
}

// result makes up how a build ended, with a log that no compression makes smaller.
func (m *member) result(l farm.Lease) (bus.Report, map[string][]byte) {
	log := make([]byte, m.Log)
	rand.Read(log)
	files := map[string][]byte{hash(log): log}
	r := bus.Report{
		Token: l.Token, Job: l.Job, Outcome: farm.OutcomeFailed, Log: farm.File{Name: "log.gz", SHA256: hash(log), Size: int64(len(log))},
		Failure: farm.Failure{Cause: farm.MissingHeader, Detail: "ffi.h", Hint: "apt: libffi-dev"},
		Excerpt: "src/_cffi.c:15:10: fatal error: ffi.h: No such file or directory\n   15 | #include <ffi.h>\ncompilation terminated.",
		Record: farm.Record{Seconds: 8.6, PeakRSS: 90 << 20, Started: time.Now().Add(-8600 * time.Millisecond), Ended: time.Now(),
			Sandbox: "bwrap", PythonVer: "3.9.2", PipVer: "20.3.4", Compiler: "gcc 10.2.1", OS: "Raspbian GNU/Linux 11 (bullseye)"},
	}
	if len(log) <= bus.MaxLogInside { // as the agent does
		r.LogData = log
	}
	if m.Wheel == 0 {
		return r, files
	}
	content := make([]byte, m.Wheel)
	rand.Read(content)
	file, wheel := wheeltest.Wheel{Name: l.Package, Version: l.Version, Files: []wheeltest.File{{Name: "p.py", Body: content}}, Stored: true}.Make(panics{})
	r.Outcome, r.Failure, r.Excerpt = farm.OutcomeBuilt, farm.Failure{}, ""
	r.Wheels = []farm.File{file}
	files[file.SHA256] = wheel
	return r, files
}

// panics stands for a test where there is none: in the crew's process.
type panics struct{ testing.TB }

func (panics) Helper()           {}
func (panics) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

func upload(ctx context.Context, client *http.Client, url, token string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusCreated {
		err = fmt.Errorf("upload: %s %s", resp.Status, said)
	}
	return err
}

func hash(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// sum is how many jobs were done in these windows.
func sum(windows []int64) (n int64) {
	for _, w := range windows {
		n += w
	}
	return n
}

// tell reports what a crew did: over all, in the worst ten seconds, and the last
// minute against the first (of a shorter run, its halves).
func (t crewTale) tell(b *testing.B) {
	b.Helper()
	if len(t.Trouble) > 0 {
		b.Error(t.Trouble)
	}
	whole := t.Windows[:int(t.Seconds/window.Seconds())]
	if len(whole) < 2 {
		b.Fatalf("%g seconds are no two windows", t.Seconds)
	}
	span := min(len(whole)/2, 6)
	perSecond := func(windows []int64) float64 { return float64(sum(windows)) / float64(len(windows)) / window.Seconds() }
	b.ReportMetric(perSecond(whole), "jobs/s")
	b.ReportMetric(float64(slices.Min(whole))/window.Seconds(), "least-jobs/s")
	b.ReportMetric(perSecond(whole[len(whole)-span:])/perSecond(whole[:span]), "last/first")
	b.ReportMetric(quantile(t.Next, 0.5), "next-p50-ms")
	b.ReportMetric(quantile(t.Next, 0.99), "next-p99-ms")
	b.ReportMetric(quantile(t.Accepted, 0.5), "accepted-p50-ms")
	b.ReportMetric(quantile(t.Accepted, 0.99), "accepted-p99-ms")
	if t.Empty > 0 {
		b.ReportMetric(float64(t.Empty), "empty")
	}
	fmt.Fprintln(os.Stderr, b.Name(), "jobs in each window of", window, whole)
}
