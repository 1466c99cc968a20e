package bench_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/bustest"
	"pinwheel/internal/collect"
	"pinwheel/internal/depot"
	"pinwheel/internal/dispatch"
	"pinwheel/internal/farm"
	"pinwheel/internal/farmtest"
	"pinwheel/internal/publish"
	"pinwheel/internal/store"
	"pinwheel/internal/web"
)

// line is a master's second half: collect, publish and web on a real database
// and disk, and one slave that reports.
type line struct {
	b      *testing.B
	store  *store.Store
	slave  *bus.SlaveEnd
	url    string
	n      int
	target farm.Target
}

func newLine(b *testing.B) *line {
	b.Helper()
	dsn := database(b, 10_000)
	s, err := store.Open(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	dir := b.TempDir()
	d, err := depot.Open(filepath.Join(dir, "depot"))
	if err != nil {
		b.Fatal(err)
	}
	wire := bustest.Start(b)
	l := &line{b: b, store: s, target: target}
	var handler http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	b.Cleanup(srv.Close)
	l.url = srv.URL
	c := collect.New(collect.Config{Store: s, Depot: readers{d}, HTTP: srv.URL, Key: []byte("key"), Log: zerolog.Nop()})
	disp := dispatch.New(dispatch.Config{Store: s, HTTP: srv.URL, Lease: time.Hour, Log: zerolog.Nop()})
	p, err := publish.New(publish.Config{Store: s, Depot: d, SiteDir: filepath.Join(dir, "site"), Log: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	handler = web.New(web.Config{Store: s, Depot: d, SiteDir: filepath.Join(dir, "site"), Upload: c.Upload(), Log: zerolog.Nop()})
	for _, register := range []func() (func(), error){
		func() (func(), error) { return wire.Master.HandleNext(disp.Next) },
		func() (func(), error) { return wire.Master.HandleReport(c.Report) },
	} {
		stop, err := register()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(stop)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); p.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-ended })
	name := fmt.Sprintf("u%d", time.Now().UnixNano())
	creds, key, err := wire.Authority.Enroll(name, farm.RoleSlave)
	if err == nil {
		err = s.EnrollSlave(b.Context(), name, farm.RoleSlave, key)
	}
	if err != nil {
		b.Fatal(err)
	}
	l.slave = wire.Connect(b, name, creds).Slave(name)
	return l
}

type readers struct{ *depot.Local }

func (r readers) Reader(sha256 string) (io.ReaderAt, io.Closer, error) {
	f, err := r.Open(sha256)
	return f, f, err
}

// built leases a job and prepares its report with a wheel of about size bytes.
func (l *line) built(size int) (bus.Report, []byte) {
	l.b.Helper()
	l.n++
	reply, err := l.slave.Next(l.b.Context(), bus.Next{Request: fmt.Sprint(l.n), Targets: []farm.Target{l.target}})
	if err != nil || reply.Lease == nil {
		l.b.Fatal("no lease", err)
	}
	content := make([]byte, size)
	rand.Read(content)
	name, wheel := farmtest.Wheel(l.b, reply.Lease.Package, reply.Lease.Version, "py3-none-any", content)
	return bus.Report{Token: reply.Lease.Token, Job: reply.Lease.Job, Outcome: farm.OutcomeBuilt,
		Wheels: []farm.File{{Name: name, SHA256: hash(wheel), Size: int64(len(wheel))}}}, wheel
}

func hash(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func put(b *testing.B, url, token string, body []byte) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPut, url, bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusCreated {
		b.Fatal(resp.Status)
	}
}

// BenchmarkUpload sends 20 MB as a slave does, in turn with a plain PUT to a
// handler that writes the body to a file: the same bytes, on the same disk,
// flushed to it, without hash and rights.
func BenchmarkUpload(b *testing.B) {
	const size = 20 << 20
	l := newLine(b)
	dir := b.TempDir()
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Create(filepath.Join(dir, "plain"))
		if err == nil {
			_, err = io.Copy(f, r.Body)
		}
		if err == nil {
			err = f.Sync()
		}
		if f.Close(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}))
	defer plain.Close()
	var ours, theirs []time.Duration
	for range b.N {
		report, wheel := l.built(size)
		reply, err := l.slave.Report(b.Context(), report)
		if err != nil || len(reply.Need) != 1 {
			b.Fatal(reply, err)
		}
		began := time.Now()
		put(b, reply.Need[0].URL, reply.Need[0].Token, wheel)
		ours = append(ours, time.Since(began))
		began = time.Now()
		put(b, plain.URL, "", wheel)
		theirs = append(theirs, time.Since(began))
	}
	mb := float64(size) / 1e6
	b.ReportMetric(mb/(quantile(ours, 0.5)/1000), "MB/s")
	b.ReportMetric(mb/(quantile(theirs, 0.5)/1000), "plain-MB/s")
	b.ReportMetric(quantile(theirs, 0.5)/quantile(ours, 0.5), "x-plain")
}

// BenchmarkPublished measures from "accepted" to the first answer of the site
// that names the wheel.
func BenchmarkPublished(b *testing.B) {
	l := newLine(b)
	var took []time.Duration
	for range b.N {
		report, wheel := l.built(20_000)
		reply, err := l.slave.Report(b.Context(), report)
		if err != nil || len(reply.Need) != 1 {
			b.Fatal(reply, err)
		}
		put(b, reply.Need[0].URL, reply.Need[0].Token, wheel)
		if reply, err = l.slave.Report(b.Context(), report); err != nil || !reply.Accepted || reply.Reason != "" {
			b.Fatal(reply, err)
		}
		accepted := time.Now()
		for !l.shows(report.Wheels[0].Name) {
			time.Sleep(time.Millisecond)
		}
		took = append(took, time.Since(accepted))
	}
	b.ReportMetric(quantile(took, 0.5), "p50-ms")
	b.ReportMetric(quantile(took, 0.99), "p99-ms")
}

func (l *line) shows(file string) bool {
	project, _, _ := bytes.Cut([]byte(file), []byte("-"))
	resp, err := http.Get(l.url + "/simple/" + string(project) + "/")
	if err != nil {
		l.b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		l.b.Fatal(err)
	}
	return bytes.Contains(body, []byte(file))
}
