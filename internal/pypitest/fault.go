package pypitest

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Trouble is how an answer is broken.
type Trouble string

const (
	Status    Trouble = "status"    // another status, see Fault.Status
	Truncated Trouble = "truncated" // half of the promised length, then the connection ends
	Cut       Trouble = "cut"       // half of the body as if it were whole
	Stalled   Trouble = "stalled"   // half of the body, then silence for as long as the client waits
	Lying     Trouble = "lying"     // status 200 and the right type, but the body is an HTML maintenance page
	Dropped   Trouble = "dropped"   // the connection ends without an answer
)

// Fault breaks the answers below a path.
type Fault struct {
	Trouble    Trouble
	Status     int    // for the trouble Status
	RetryAfter string // sent as the header of that name, if not empty
	Times      int    // how many answers to break; 0: all until Mend
}

// Break spoils the answers to all paths that begin with prefix, such as "/simple/demo/" or "/"; the longest
// prefix that fits counts.
func (s *Server) Break(prefix string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[prefix] = &f
}

// Mend ends a Break of the same prefix.
func (s *Server) Mend(prefix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.faults, prefix)
}

// HTMLOnly sets whether simple pages come as HTML whatever is asked for.
func (s *Server) HTMLOnly(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.htmlOnly = on
}

// NoDetails sets whether the per-project JSON API is missing.
func (s *Server) NoDetails(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noDetails = on
}

// Requests tells how often a path was asked for, broken answers included.
func (s *Server) Requests(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[path]
}

// handler answers from a buffer: the lock is not held while a client reads, and a fault can spoil the whole.
func (s *Server) handler() http.Handler {
	routes := s.routes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := buffer{header: w.Header(), status: http.StatusOK}
		s.mu.Lock()
		s.requests[r.URL.Path]++
		fault := s.fault(r.URL.Path)
		routes.ServeHTTP(&b, r)
		s.mu.Unlock()
		fault.answer(w, r, &b)
	})
}

// fault finds what is wrong with a path now, and counts it down.
func (s *Server) fault(path string) Fault {
	longest := ""
	for prefix := range s.faults {
		if strings.HasPrefix(path, prefix) && len(prefix) > len(longest) {
			longest = prefix
		}
	}
	f := s.faults[longest]
	if f == nil {
		return Fault{}
	}
	if f.Times == 1 {
		delete(s.faults, longest)
	} else if f.Times > 1 {
		f.Times--
	}
	return *f
}

// buffer is a whole answer.
type buffer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (b *buffer) Header() http.Header         { return b.header }
func (b *buffer) WriteHeader(status int)      { b.status = status }
func (b *buffer) Write(p []byte) (int, error) { return b.body.Write(p) }

// answer sends a buffered answer with its fault. http.ErrAbortHandler is net/http's own way to end a connection.
func (f Fault) answer(w http.ResponseWriter, r *http.Request, b *buffer) {
	body := b.body.Bytes()
	half := body[:len(body)/2]
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	switch f.Trouble {
	case Status:
		b.status, body = f.Status, fmt.Appendf(nil, "%d %s\n", f.Status, http.StatusText(f.Status))
	case Cut:
		body = half
	case Lying:
		b.status, body = http.StatusOK, []byte("<html><body><h1>We'll be back soon</h1></body></html>\n")
	case Dropped:
		panic(http.ErrAbortHandler)
	case Truncated, Stalled:
		send(w, b.status, len(body), half)
		_ = http.NewResponseController(w).Flush()
		if f.Trouble == Stalled {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}
	send(w, b.status, len(body), body)
}

func send(w http.ResponseWriter, status, length int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(length))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away misses nothing
}
