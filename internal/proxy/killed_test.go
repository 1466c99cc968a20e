package proxy

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"

	"pinwheel/internal/farm"
)

// Set for the process that is killed, see TestKilledWhileDownloading.
const (
	childCache = "PINWHEEL_TEST_PROXY_CACHE"
	childIndex = "PINWHEEL_TEST_PROXY_INDEX"
)

// proxyToBeKilled is what TestMain is then: it serves a build until the end.
func proxyToBeKilled() {
	p, err := New(Config{CacheDir: os.Getenv(childCache), Parent: direct})
	if err == nil {
		var d *Door
		if d, err = p.Door(Settings{Network: farm.NetworkPublic, Indexes: []Index{{"upstream", os.Getenv(childIndex)}}}); err == nil {
			var l net.Listener
			if l, err = net.Listen("tcp4", "127.0.0.1:0"); err == nil {
				d.Serve(l)
				fmt.Println(l.Addr())
				select {}
			}
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

// TestKilledWhileDownloading: after kill -9 in the middle of a download the cache has
// what it had, whole, nothing of what was under way, and takes up its work.
func TestKilledWhileDownloading(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("all of it "), 100_000)
	half, killed := make(chan bool, 10), make(chan bool)
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/simple/foo/":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, `<a href="/small-1.zip#sha256=%s"></a><a href="/large-1.zip#sha256=%s"></a>`, sumOf([]byte("small")), sumOf(large))
		case "/small-1.zip":
			fmt.Fprint(w, "small")
		default:
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			_, _ = w.Write(large[:len(large)/2])
			_ = http.NewResponseController(w).Flush()
			half <- true
			<-killed
			_, _ = w.Write(large[len(large)/2:])
		}
	}, false)
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childCache+"="+dir, childIndex+"="+s.URL+"/simple/")
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	var addr string
	_, err = fmt.Fscanln(out, &addr)
	must(t, err)
	first := &build{t: t, addr: addr}
	_, page := first.get("/upstream/simple/foo/")
	if code, _ := first.get(href(t, page, "small-1.zip")); code != http.StatusOK {
		t.Fatal(code)
	}
	ended := make(chan int)
	go func() { code, _ := first.get(href(t, page, "large-1.zip")); ended <- code }()
	<-half
	must(t, child.Process.Kill())
	_ = child.Wait() // it was killed
	<-ended
	close(killed)

	p := newProxy(t, Config{CacheDir: dir})
	if left := entries(t, p.cache); len(left) != 1 || left[0] != sumOf([]byte("small")) {
		t.Errorf("left %v, want the small file", left)
	}
	b := newBuild(t, p, farm.NetworkPublic, Index{"upstream", s.URL + "/simple/"})
	_, page = b.get("/upstream/simple/foo/")
	for name, want := range map[string]string{"small-1.zip": "small", "large-1.zip": string(large)} {
		if code, text := b.get(href(t, page, name)); code != http.StatusOK || text != want {
			t.Errorf("%s: %d, %d bytes", name, code, len(text))
		}
	}
	p.cache.settle()
	if got := len(entries(t, p.cache)); got != 2 {
		t.Errorf("%d entries", got)
	}
}
