package collect

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/depot"
	"pinwheel/internal/farm"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/store"
	"pinwheel/internal/storetest"
	"pinwheel/internal/wheeltest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func target() farm.Target { return farm.Target{ABI: "cp311", Platform: "linux_armv7l"} }

// files is the depot as collect wants it.
type files struct{ *depot.Local }

func (f files) Reader(sha string) (io.ReaderAt, io.Closer, error) {
	r, err := f.Open(sha)
	return r, r, err
}

// world is a collector between a real database, a real depot and real HTTP.
type world struct {
	*Collector
	*storetest.DB
	t     testing.TB
	local *depot.Local
	http  *httptest.Server

	mu     sync.Mutex
	events []string // KIND PACKAGE DETAIL
	aborts []string // SLAVE TOKEN
}

func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, DB: storetest.New(t, target())}
	var err error
	w.local, err = depot.Open(t.TempDir())
	w.Must(err)
	w.http = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.Upload().ServeHTTP(rw, r) }))
	t.Cleanup(w.http.Close)
	cfg := Config{
		Store: w.Store, Depot: files{w.local}, HTTP: w.http.URL, Key: []byte("key"), Log: zerolog.New(zerolog.NewTestWriter(t)),
		Tell:  func(e bus.Event) { w.note(&w.events, e.Kind+" "+e.Package+" "+e.Detail) },
		Abort: func(slave, token string) { w.note(&w.aborts, slave+" "+token) },
	}
	for _, f := range change {
		f(&cfg)
	}
	w.Collector = New(cfg)
	t.Cleanup(w.Close)
	return w
}

func (w *world) note(list *[]string, s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*list = append(*list, s)
}

// claim leases the next job to a slave, under the token SLAVE-REQUEST.
func (w *world) claim(slave, request string) farm.Lease {
	w.t.Helper()
	row, err := w.Store.Slave(w.t.Context(), slave)
	w.Must(err)
	targets, err := w.Store.Targets(w.t.Context())
	w.Must(err)
	l, ok, err := w.Store.Claim(w.t.Context(), store.ClaimRequest{
		Slave: row.ID, Request: request, Token: slave + "-" + request, Targets: []int64{targets[0].ID}, Length: time.Minute,
	})
	w.Must(err)
	if !ok {
		w.t.Fatal("there is no job")
	}
	return l
}

// lease queues demo 1.0 and leases it to slave a.
func (w *world) lease() farm.Lease {
	w.t.Helper()
	w.Queue("demo", target())
	return w.claim("a", "1")
}

// expire loses the lease that is current; the other slave was just heard.
func (w *world) expire() {
	w.t.Helper()
	w.Exec(`update slaves set last_seen = now()`)
	w.Exec(`update jobs set lease_deadline = now() - interval '1 s' where state = 'leased'`)
	n, err := w.Store.Sweep(w.t.Context(), time.Minute)
	w.Must(err)
	if n != 1 {
		w.t.Fatalf("%d leases lost", n)
	}
}

// wantJob looks at demo's job.
func (w *world) wantJob(state farm.State, cause farm.Cause) {
	w.t.Helper()
	if j := w.Job("demo"); j.State != state || j.Cause != string(cause) {
		w.t.Errorf("the job is %s %s (%s), want %s %s", j.State, j.Cause, j.Detail, state, cause)
	}
}

// wantState looks at demo's job, and at what all rows say of each other.
func (w *world) wantState(state farm.State, cause farm.Cause) {
	w.t.Helper()
	w.wantJob(state, cause)
	wrong, err := w.Store.Contradictions(w.t.Context())
	w.Must(err)
	for _, line := range wrong {
		w.t.Error(line)
	}
}

// bring does what an agent does: it reports, sends what is asked for, and reports
// again.
func (w *world) bring(slave string, r bus.Report, contents ...[]byte) bus.ReportReply {
	w.t.Helper()
	reply := w.Report(w.t.Context(), slave, r)
	if len(reply.Need) == 0 {
		return reply
	}
	if reply.Accepted || reply.Error != "" {
		w.t.Fatalf("asks for files, and says %+v", reply)
	}
	for _, need := range reply.Need {
		for _, c := range contents {
			if sum(c) == need.SHA256 {
				w.wantStatus(http.StatusCreated, w.put(need, c))
			}
		}
	}
	return w.Report(w.t.Context(), slave, r)
}

// put sends content where a need says.
func (w *world) put(need bus.Need, content []byte) *http.Response {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPut, need.URL, bytes.NewReader(content))
	w.Must(err)
	req.Header.Set("Authorization", "Bearer "+need.Token)
	resp, err := w.http.Client().Do(req)
	w.Must(err)
	resp.Body.Close()
	return resp
}

func (w *world) wantStatus(want int, resp *http.Response) {
	w.t.Helper()
	if resp.StatusCode != want {
		w.t.Errorf("%s %s: %s, want %d", resp.Request.Method, resp.Request.URL.Path, resp.Status, want)
	}
}

func (w *world) wantAccepted(reply bus.ReportReply, reason string) {
	w.t.Helper()
	if !reply.Accepted || !strings.Contains(reply.Reason, reason) || (reply.Reason == "") != (reason == "") {
		w.t.Errorf("the answer is %+v, want accepted %q", reply, reason)
	}
}

// built is the report of a good build with a log; failed that of a bad one.
func built(l farm.Lease, wheel farm.File, log []byte) bus.Report {
	return bus.Report{
		Token: l.Token, Job: l.Job, Outcome: farm.OutcomeBuilt, Wheels: []farm.File{wheel}, Log: wheeltest.Described("log", log),
		Record: farm.Record{Seconds: 1.5, PeakRSS: 1 << 20, Started: time.Now(), Ended: time.Now(), Sandbox: "bwrap"},
	}
}

func failed(l farm.Lease, f farm.Failure, log []byte) bus.Report {
	return bus.Report{Token: l.Token, Job: l.Job, Outcome: farm.OutcomeFailed, Failure: f, Log: wheeltest.Described("log", log)}
}

// makeWheel makes a small wheel that is sound, whatever it calls itself. Extra
// makes two wheels of one name differ.
func makeWheel(t testing.TB, name, version, extra string) (farm.File, []byte) {
	t.Helper()
	return wheeltest.Wheel{
		Name: name, Version: version, Head: "Requires-Python: >=3.7\n",
		Files: []wheeltest.File{wheeltest.Text(name+".py", fmt.Sprintf("version = %q # %s\n", version, extra))},
	}.Make(t)
}
