package bench_test

import (
	"bytes"
	"context"
	"crypto/rand"
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
	"pinwheel/internal/service"
	"pinwheel/internal/store"
	"pinwheel/internal/web"
)

// head is a master in this process: dispatch, collect, publish and web, on a real
// database, wire and disk.
type head struct {
	b     *testing.B
	dsn   string
	store *store.Store
	wire  *bustest.Farm
	url   string
	site  string
	pages *publish.Publisher
}

func newHead(b *testing.B, dsn string) *head {
	b.Helper()
	return newHeadIn(b, dsn, b.TempDir())
}

// newHeadIn has depot and site in a folder that there is.
func newHeadIn(b *testing.B, dsn, dir string) *head {
	b.Helper()
	s, err := store.Open(b.Context(), dsn)
	must(b, err)
	b.Cleanup(s.Close)
	d, err := depot.Open(filepath.Join(dir, "depot"))
	must(b, err)
	h := &head{b: b, dsn: dsn, store: s, wire: bustest.Start(b), site: filepath.Join(dir, "site")}
	var handler http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	b.Cleanup(srv.Close)
	h.url = srv.URL
	c := collect.New(collect.Config{Store: s, Depot: readers{d}, HTTP: srv.URL, Key: []byte("key"), Log: zerolog.Nop()})
	b.Cleanup(c.Close)
	disp := dispatch.New(dispatch.Config{Store: s, HTTP: srv.URL, Lease: time.Hour, Log: zerolog.Nop()})
	h.pages, err = publish.New(publish.Config{Store: s, Depot: d, SiteDir: h.site, Log: zerolog.Nop()})
	must(b, err)
	handler = web.New(web.Config{Store: s, Depot: d, SiteDir: h.site, Upload: c.Upload(), Log: zerolog.Nop()})
	inside := h.wire.Inside(b)
	for _, register := range []func() (func(), error){
		func() (func(), error) { return inside.HandleNext(disp.Next) },
		func() (func(), error) { return inside.HandleReport(c.Report) },
	} {
		stop, err := register()
		must(b, err)
		b.Cleanup(stop)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		service.RunAll(ctx, service.Part{Name: "publish", Run: h.pages.Run}, service.Part{Name: "dispatch", Run: disp.Run})
	}()
	b.Cleanup(func() { cancel(); <-ended })
	return h
}

// enroll gives the credentials of a new slave.
func (h *head) enroll(name string) []byte {
	h.b.Helper()
	creds, key, err := h.wire.Authority.Enroll(name, farm.RoleSlave)
	if err == nil {
		err = h.store.EnrollSlave(h.b.Context(), name, farm.RoleSlave, key, "test")
	}
	must(h.b, err)
	return creds
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// line is a master and one slave that reports.
type line struct {
	*head
	slave  *bus.SlaveEnd
	n      int
	target farm.Target
}

func newLine(b *testing.B) *line {
	b.Helper()
	l := &line{head: newHead(b, database(b, 10_000)), target: target}
	name := fmt.Sprintf("u%d", time.Now().UnixNano())
	l.slave = l.wire.Connect(b, name, l.enroll(name)).Slave(name)
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

func put(b *testing.B, url, token string, body []byte) {
	b.Helper()
	must(b, upload(b.Context(), http.DefaultClient, url, token, body))
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
