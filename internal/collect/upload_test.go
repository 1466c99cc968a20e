package collect

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/bus"
	"pinwheel/internal/depot"
	"pinwheel/internal/farm"
)

// asked reports a good build and returns what is asked for, with the content.
func (w *world) asked() (bus.Need, []byte) {
	w.t.Helper()
	file, content := makeWheel(w.t, "demo", "1.0", "")
	need := w.Report(w.t.Context(), "a", built(w.lease(), file, nil)).Need
	if len(need) != 1 {
		w.t.Fatalf("asked for %+v", need)
	}
	return need[0], content
}

// wantStored wants the depot to hold these contents, whole, and no other file.
func (w *world) wantStored(contents ...[]byte) {
	w.t.Helper()
	want := map[string]int64{}
	for _, c := range contents {
		want[sum(c)] = int64(len(c))
	}
	w.Must(w.local.Walk(func(sha string, size int64) error {
		if want[sha] != size {
			w.t.Errorf("the depot has %s with %d bytes", sha, size)
		}
		delete(want, sha)
		return nil
	}))
	if len(want) > 0 {
		w.t.Errorf("the depot lacks %v", want)
	}
}

// wantNoLeftovers wants nothing to be left of uploads that came to nothing.
func (w *world) wantNoLeftovers() {
	w.t.Helper()
	path, err := w.local.Path(strings.Repeat("0", 64))
	w.Must(err)
	staging := filepath.Join(filepath.Dir(path), "..", "..", "tmp")
	left, err := os.ReadDir(staging)
	w.Must(err)
	if len(left) > 0 {
		w.t.Errorf("left in staging: %v", left)
	}
}

// request is a PUT to be spoiled.
func (w *world) request(need bus.Need, content []byte) *http.Request {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPut, need.URL, bytes.NewReader(content))
	w.Must(err)
	req.Header.Set("Authorization", "Bearer "+need.Token)
	return req
}

func TestUploadRefuses(t *testing.T) {
	t.Parallel()
	other := strings.Repeat("0", 64)
	cases := []struct {
		name   string
		change func(*world, *http.Request)
		status int
		says   string
	}{
		{"another method", func(_ *world, r *http.Request) { r.Method = http.MethodPost }, 405, "want PUT"},
		{"no token", func(_ *world, r *http.Request) { r.Header.Del("Authorization") }, 401, "no upload token"},
		{"another scheme", func(_ *world, r *http.Request) { r.Header.Set("Authorization", "Basic eDp5") }, 401, "no upload token"},
		{"an empty token", func(_ *world, r *http.Request) { r.Header.Set("Authorization", "Bearer .") }, 403, "not ours"},
		{"a token of noise", func(_ *world, r *http.Request) { r.Header.Set("Authorization", "Bearer !!!.???") }, 403, "cannot be read"},
		{"a token without a signature", func(_ *world, r *http.Request) {
			head, _, _ := strings.Cut(r.Header.Get("Authorization"), ".")
			r.Header.Set("Authorization", head)
		}, 403, "not ours"},
		{"a token that was changed", func(_ *world, r *http.Request) {
			_, tail, _ := strings.Cut(r.Header.Get("Authorization"), ".")
			body := fmt.Sprintf(`{"lease":"a-1","sha256":%q,"size":3,"expires":9999999999}`, other)
			r.Header.Set("Authorization", "Bearer "+base64.RawURLEncoding.EncodeToString([]byte(body))+"."+tail)
		}, 403, "not ours"},
		{"a token of another farm", func(w *world, r *http.Request) {
			alien := New(Config{Key: []byte("another key"), Log: w.cfg.Log, Now: time.Now})
			f := farm.File{SHA256: r.URL.Path[len(UploadPath):], Size: r.ContentLength}
			r.Header.Set("Authorization", "Bearer "+alien.sign("a-1", f))
		}, 403, "not ours"},
		{"another path", func(_ *world, r *http.Request) { r.URL.Path = UploadPath + other }, 403, "for another file"},
		{"a longer path", func(_ *world, r *http.Request) {
			r.URL.Path = UploadPath + "x/" + r.URL.Path[len(UploadPath):]
		}, 403, "for another file"},
		{"a path out of the depot", func(_ *world, r *http.Request) { r.URL.Path = UploadPath + "../../etc/passwd" }, 403, "for another file"},
		{"no path", func(_ *world, r *http.Request) { r.URL.Path = "/" }, 403, "for another file"},
		{"a shorter length", func(_ *world, r *http.Request) { shorten(r, 1) }, 400, "Content-Length is"},
		{"no length", func(_ *world, r *http.Request) { r.ContentLength = -1 }, 400, "Content-Length is -1"},
		{"other bytes", func(_ *world, r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", int(r.ContentLength))))
		}, 422, "SHA-256"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			need, content := w.asked()
			req := w.request(need, content)
			c.change(w, req)
			resp, err := w.http.Client().Do(req)
			w.Must(err)
			body, err := io.ReadAll(resp.Body)
			w.Must(errors.Join(err, resp.Body.Close()))
			if resp.StatusCode != c.status || !strings.Contains(string(body), c.says) {
				t.Errorf("%s %q, want %d %q", resp.Status, body, c.status, c.says)
			}
			w.wantStored()
			w.wantNoLeftovers()
			w.wantStatus(http.StatusCreated, w.put(need, content)) // the token is still good
		})
	}
}

func shorten(r *http.Request, by int64) {
	r.ContentLength -= by
	r.Body = io.NopCloser(io.LimitReader(r.Body, r.ContentLength))
}

// TestTokenExpires: an hour, and then a new report brings a new one.
func TestTokenExpires(t *testing.T) {
	t.Parallel()
	now := time.Now()
	w := newWorld(t, func(c *Config) { c.Now = func() time.Time { return now } })
	file, content := makeWheel(t, "demo", "1.0", "")
	report := built(w.lease(), file, nil)
	need := w.Report(t.Context(), "a", report).Need[0]
	now = now.Add(tokenLife + time.Second)
	w.wantStatus(http.StatusForbidden, w.put(need, content))
	w.wantStored()
	need = w.Report(t.Context(), "a", report).Need[0]
	now = now.Add(tokenLife - time.Second)
	w.wantStatus(http.StatusCreated, w.put(need, content))
	w.wantStored(content)
}

// TestTokenOutlivesTheMaster: another master with the same key knows it.
func TestTokenOutlivesTheMaster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	need, content := w.asked()
	w.Collector = New(w.cfg)
	t.Cleanup(w.Close)
	w.wantStatus(http.StatusCreated, w.put(need, content))
}

func TestUploadTwiceAndAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	need, content := w.asked()
	const times = 8
	status := make(chan int, times)
	for range times {
		req := w.request(need, content)
		go func() {
			resp, err := w.http.Client().Do(req)
			if err != nil {
				status <- 0
				return
			}
			resp.Body.Close()
			status <- resp.StatusCode
		}()
	}
	for range times {
		if got := <-status; got != http.StatusCreated {
			t.Errorf("status %d", got)
		}
	}
	w.wantStatus(http.StatusCreated, w.put(need, content))
	w.wantStored(content)
	w.wantNoLeftovers()
}

// raw opens a connection and sends the head of a PUT; what follows is up to the test.
func (w *world) raw(need bus.Need, length int) net.Conn {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.http.Listener.Addr().String())
	w.Must(err)
	w.t.Cleanup(func() { conn.Close() })
	_, err = fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: farm\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n",
		strings.TrimPrefix(need.URL, w.http.URL), need.Token, length)
	w.Must(err)
	return conn
}

// TestStalledUpload: one that does not move is given up and leaves nothing.
func TestStalledUpload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stall = 20 * time.Millisecond
	need, content := w.asked()
	conn := w.raw(need, len(content))
	_, err := conn.Write(content[:len(content)/2])
	w.Must(err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil) // comes though we send nothing more
	w.Must(err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestTimeout {
		t.Errorf("%s", resp.Status)
	}
	w.wantStored()
	w.wantNoLeftovers()
}

// TestSlowUpload: one that moves is given all the time that it needs, however
// long the whole takes.
func TestSlowUpload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stall = 5 * time.Second // a busy machine stands still for less
	need, content := w.asked()
	conn := w.raw(need, len(content))
	// Ten pieces, each within the time for one, together beyond it.
	pace := time.NewTicker(w.stall / 8)
	defer pace.Stop()
	for from, n := 0, len(content)/10+1; from < len(content); from += n {
		<-pace.C
		_, err := conn.Write(content[from:min(from+n, len(content))])
		w.Must(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	w.Must(err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Errorf("%s", resp.Status)
	}
	w.wantStored(content)
}

// TestCutUpload: the line breaks in the middle. What came is not kept, and the
// next try begins anew.
func TestCutUpload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	need, content := w.asked()
	ended := make(chan struct{})
	inner := w.Upload()
	w.http.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		defer close(ended)
		inner.ServeHTTP(rw, r)
	})
	conn := w.raw(need, len(content))
	_, err := conn.Write(content[:len(content)/2])
	w.Must(err)
	w.Must(conn.Close())
	<-ended
	w.wantStored()
	w.wantNoLeftovers()
}

// TestMoreThanSaid: what follows the announced bytes is not part of the file.
func TestMoreThanSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	need, content := w.asked()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPut, need.URL, io.MultiReader(bytes.NewReader(content), strings.NewReader("more")))
	req.URL.Path = strings.TrimPrefix(need.URL, w.http.URL)
	req.ContentLength = int64(len(content)) // a server would not let more through; the handler must not rely on it
	req.Header.Set("Authorization", "Bearer "+need.Token)
	rec := httptest.NewRecorder()
	w.Upload().ServeHTTP(rec, req)
	if rec.Code != http.StatusUnprocessableEntity {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	w.wantStored()
	w.wantNoLeftovers()
}

// trouble is a depot that cannot.
type trouble struct {
	files
	err error
}

func (d trouble) Put(context.Context, io.Reader, farm.File) error { return d.err }
func (d trouble) Has(string, int64) (bool, error) {
	if errors.Is(d.err, depot.ErrFull) {
		return false, nil // a full disk can be read
	}
	return false, d.err
}

func TestDepotInTrouble(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	cases := []struct {
		err    error
		status int
	}{
		{depot.ErrFull, http.StatusInsufficientStorage},
		{fmt.Errorf("store: %w", broken), http.StatusInternalServerError},
	}
	for _, c := range cases {
		w := newWorld(t)
		need, content := w.asked()
		good := w.cfg.Depot
		w.cfg.Depot = trouble{files{w.local}, c.err}
		w.wantStatus(c.status, w.put(need, content))
		report := failed(farm.Lease{Token: "a-1", Job: w.Job("demo").ID}, farm.Failure{Cause: farm.Prompt}, []byte("log"))
		reply := w.Report(t.Context(), "a", report)
		if reply.Accepted || errors.Is(c.err, broken) != (reply.Error != "") {
			t.Errorf("%v: the answer is %+v", c.err, reply)
		}
		w.wantState(farm.Leased, "")
		// The depot comes back, and so does the slave.
		w.cfg.Depot = good
		w.wantStatus(http.StatusCreated, w.put(need, content))
	}
}

// FuzzPermitted: only what was signed is a permit, whatever is sent instead.
func FuzzPermitted(f *testing.F) {
	c := New(Config{Key: []byte("key"), Now: time.Now})
	good := c.sign("lease", farm.File{SHA256: strings.Repeat("a", 64), Size: 7})
	for _, seed := range []string{good, "", ".", "..", good + ".", good[1:], "e30." + strings.Repeat("A", 43)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		p, err := c.permitted(token)
		if err != nil {
			return
		}
		body, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if want := tokenForm().EncodeToString(body) + "." + tokenForm().EncodeToString(c.mac(body)); want != token {
			t.Fatalf("%q is taken for %+v", token, p)
		}
	})
}
