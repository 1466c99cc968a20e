package pypi

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

// wholePyPI is how many projects PyPI had when the farm was measured.
const wholePyPI = 886_324

// writeNames writes the list of so many projects, of the lengths that names have on PyPI.
func writeNames(w io.Writer, n int) {
	fmt.Fprint(w, `{"meta":{"_last-serial":33000000,"api-version":"1.4"},"projects":[`)
	for i := range n {
		if i > 0 {
			fmt.Fprint(w, ",")
		}
		fmt.Fprintf(w, `{"_last-serial":%d,"name":"project-%0*d"}`, 10_000_000+i, 3+i%11, i)
	}
	fmt.Fprint(w, "]}")
}

func serve(b *testing.B, kind, body string) *Client {
	b.Helper()
	var packed strings.Builder
	zip := gzip.NewWriter(&packed)
	if _, err := io.WriteString(zip, body); err != nil {
		b.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		b.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, packed.String())
	}))
	b.Cleanup(s.Close)
	return New(Config{Simple: s.URL + "/simple", Changelog: s.URL + "/pypi"})
}

// plainly fetches an address and decodes it whole, as one would without a farm, and says how long that took.
func plainly(b *testing.B, ask func() (*http.Response, error), decode func(io.Reader) error) time.Duration {
	b.Helper()
	start := time.Now()
	resp, err := ask()
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if err := decode(resp.Body); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// BenchmarkNames reads the list of a whole PyPI, and tells by how much the heap grew for it at most, and the time
// against decoding it whole.
func BenchmarkNames(b *testing.B) {
	var list strings.Builder
	writeNames(&list, wholePyPI)
	c := serve(b, typeJSON, list.String())
	b.SetBytes(int64(list.Len()))
	plain := plainly(b, func() (*http.Response, error) { return http.Get(c.cfg.Simple) }, func(r io.Reader) error {
		var whole struct{ Projects []jsonName }
		return json.NewDecoder(r).Decode(&whole)
	})
	for b.Loop() {
		var peak, before runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		seen := 0
		info, err := c.Names(context.Background(), "", func(Listed) error {
			if seen++; seen%50_000 == 0 {
				var now runtime.MemStats
				runtime.ReadMemStats(&now)
				peak.HeapAlloc = max(peak.HeapAlloc, now.HeapAlloc)
			}
			return nil
		})
		if err != nil || info.Count != wholePyPI {
			b.Fatal(info, err)
		}
		b.ReportMetric(float64(peak.HeapAlloc-min(peak.HeapAlloc, before.HeapAlloc))/1e6, "MB-heap")
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(plain), "x-plain")
}

// BenchmarkChanges reads a full page of the changelog, and tells the time against encoding/xml's own decoding.
func BenchmarkChanges(b *testing.B) {
	body := manyEvents(fullPage)
	c := serve(b, "text/xml", body)
	b.SetBytes(int64(len(body)))
	plain := plainly(b, func() (*http.Response, error) { return http.Post(c.cfg.Changelog, "text/xml", nil) }, func(r io.Reader) error {
		var whole eventsAsStructs
		return xml.NewDecoder(r).Decode(&whole)
	})
	for b.Loop() {
		page, err := c.Changes(context.Background(), 1)
		if err != nil || len(page.Events) != fullPage || !page.Full {
			b.Fatal(len(page.Events), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(plain), "x-plain")
}
