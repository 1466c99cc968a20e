package pypitest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// smallest is the size from which a body is worth being compressed.
const smallest = 500

// handler answers from a buffer: the lock is not held while a client reads, and a fault can spoil the whole.
func (s *Server) handler() http.Handler {
	routes, control := s.routes(), s.control()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, controlPrefix) {
			control.ServeHTTP(w, r)
			return
		}
		b := buffer{header: w.Header(), status: http.StatusOK, zips: &s.zips}
		s.serve(&b, r, routes).answer(w, r, &b)
	})
}

// serve fills the buffer with the true answer, and returns what is wrong with it.
func (s *Server) serve(b *buffer, r *http.Request, routes http.Handler) Fault {
	var c *call
	path := r.URL.Path
	if isCall(r) {
		c = readCall(r) // before the lock: a client may be slow
		path += "#" + c.Method
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[r.URL.Path]++
	fault := s.fault(path)
	if c == nil {
		routes.ServeHTTP(b, r)
		b.tag(r, fault.Trouble == "")
		return fault
	}
	s.requests[path]++
	s.serveCall(b, c, fault)
	return fault
}

// buffer is a whole answer.
type buffer struct {
	header http.Header
	status int
	body   bytes.Buffer
	zips   *sync.Pool
}

func (b *buffer) Header() http.Header         { return b.header }
func (b *buffer) WriteHeader(status int)      { b.status = status }
func (b *buffer) Write(p []byte) (int, error) { return b.body.Write(p) }

// replace puts another answer in the place of the true one, whose tag it must not have.
func (b *buffer) replace(status int, body []byte) {
	if status != http.StatusNotModified {
		b.header.Del("ETag")
	}
	b.status = status
	b.body.Reset()
	b.body.Write(body)
}

// tag gives pages an ETag, and leaves out the body that a client has already (RFC 9110 section 13.1.2)
// unless something is to go wrong with it.
func (b *buffer) tag(r *http.Request, sound bool) {
	if b.status != http.StatusOK || !isPage(r) {
		return
	}
	sum := sha256.Sum256(b.body.Bytes())
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	b.header.Set("ETag", tag)
	for known := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		known = strings.TrimPrefix(strings.TrimSpace(known), "W/")
		if sound && (known == tag || known == "*") {
			b.replace(http.StatusNotModified, nil)
			return
		}
	}
}

func isPage(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/simple/") || strings.HasPrefix(r.URL.Path, "/pypi")
}

// send sends the first bytes of a body whose whole length it promises, compressed if the client likes it.
func (b *buffer) send(w http.ResponseWriter, r *http.Request, first int) {
	body := b.body.Bytes()
	half := first < len(body)
	if len(body) >= smallest && isPage(r) && accepts(r.Header.Get("Accept-Encoding"), "gzip") > 0 {
		body = b.compressed()
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Add("Vary", "Accept-Encoding")
		first = len(body)
		if half {
			first /= 2
		}
	}
	if b.status != http.StatusNotModified {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(b.status)
	_, _ = w.Write(body[:first]) // a client that went away misses nothing
}

func (b *buffer) compressed() []byte {
	var out bytes.Buffer
	zip, ok := b.zips.Get().(*gzip.Writer)
	if !ok {
		zip, _ = gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // the level is a good one
	}
	zip.Reset(&out)
	_, _ = zip.Write(b.body.Bytes())
	_ = zip.Close()
	b.zips.Put(zip)
	return out.Bytes()
}
