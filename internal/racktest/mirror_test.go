package racktest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// debs is where packages are kept that were downloaded once. They never change under a
// name, and apt checks their hashes.
const debs = "/var/cache/pinwheel/debs"

// mirror is the machines' way to this machine's Debian mirror: a proxy for apt.
type mirror struct {
	t      *testing.T
	coming sync.Map // a *sync.Mutex for each file, of which several machines may want the first copy
}

func newMirror(t *testing.T) *httptest.Server {
	t.Helper()
	if err := os.MkdirAll(debs, 0o755); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(&mirror{t: t})
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.URL.Host == "" {
		http.Error(w, "this is a proxy for apt, by http", http.StatusMethodNotAllowed)
		return
	}
	if strings.HasSuffix(r.URL.Path, ".deb") {
		m.deb(w, r)
		return
	}
	resp, err := fetch(r, "If-Modified-Since", "Range", "If-Range")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	for _, h := range []string{"Content-Length", "Content-Type", "Last-Modified", "Content-Range", "Date"} {
		if v := resp.Header.Get(h); v != "" {
			w.Header().Set(h, v)
		}
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body) // apt sees the length
}

func fetch(r *http.Request, headers ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, r.URL.String(), nil)
	if err != nil {
		return nil, err
	}
	for _, h := range headers {
		if v := r.Header.Get(h); v != "" {
			req.Header.Set(h, v)
		}
	}
	return http.DefaultClient.Do(req)
}

// deb serves a package from the cache, into which it comes whole or not at all.
func (m *mirror) deb(w http.ResponseWriter, r *http.Request) {
	sum := sha256.Sum256([]byte(r.URL.String()))
	path := filepath.Join(debs, hex.EncodeToString(sum[:12])+"-"+filepath.Base(r.URL.Path))
	if err := m.have(r, path); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	http.ServeFile(w, r, path)
}

func (m *mirror) have(r *http.Request, path string) error {
	one, _ := m.coming.LoadOrStore(path, &sync.Mutex{})
	one.(*sync.Mutex).Lock()
	defer one.(*sync.Mutex).Unlock()
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	return keep(r, path)
}

func keep(r *http.Request, path string) error {
	resp, err := fetch(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the mirror says %s", resp.Status)
	}
	f, err := os.CreateTemp(debs, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = io.Copy(f, resp.Body)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}
