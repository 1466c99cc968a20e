package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"pinwheel/internal/farm"
)

// BenchmarkDownload takes 20 MB through the proxy and, in turn, from the same server
// without it: the first time into the cache, then out of it, and past it. What is
// reported are milliseconds and how many times longer it takes than without.
func BenchmarkDownload(b *testing.B) {
	const size = 20 << 20
	data := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	sum := sumOf(data)
	s := newServer(b, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/simple/foo/" {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, `<a href="/foo-1.whl#sha256=%s">x</a><a href="/bar-1.whl">x</a>`, sum)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(size))
		w.Write(data)
	}, false)
	client := &http.Client{}
	defer client.CloseIdleConnections()
	took := func(u string) time.Duration {
		started := time.Now()
		resp, err := client.Get(u)
		must(b, err)
		defer resp.Body.Close()
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != size {
			b.Fatalf("%d bytes, %v", n, err)
		}
		return time.Since(started)
	}
	var direct, first, cached, past time.Duration
	for b.Loop() {
		p := newProxy(b, Config{CacheDir: b.TempDir()})
		d := newBuild(b, p, farm.NetworkPublic, Index{"upstream", s.URL + "/simple/"})
		if code, text := d.get("/upstream/simple/foo/"); code != http.StatusOK {
			b.Fatal(text)
		}
		direct += took(s.URL + "/foo-1.whl")
		first += took("http://" + d.addr + "/upstream/files/0/foo-1.whl")
		cached += took("http://" + d.addr + "/upstream/files/0/foo-1.whl")
		past += took("http://" + d.addr + "/upstream/files/1/bar-1.whl")
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(direct.Milliseconds())/float64(b.N), "direct-ms")
	for name, t := range map[string]time.Duration{"first": first, "cached": cached, "past": past} {
		b.ReportMetric(float64(t.Microseconds())/1e3/float64(b.N), name+"-ms")
		b.ReportMetric(float64(t)/float64(direct), name+"-x")
	}
}
