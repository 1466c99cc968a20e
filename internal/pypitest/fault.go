package pypitest

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"pinwheel/internal/pep"
)

// Trouble is how an answer is broken.
type Trouble string

const (
	Status    Trouble = "status"    // another status, see Fault.Status
	Truncated Trouble = "truncated" // half of the promised length, then the connection ends
	Cut       Trouble = "cut"       // half of the body as if it were whole
	Stalled   Trouble = "stalled"   // half of the body, then silence for as long as the client waits
	Silent    Trouble = "silent"    // not even a status for as long as the client waits
	Lying     Trouble = "lying"     // status 200 and the right type, but the body is an HTML maintenance page
	Dropped   Trouble = "dropped"   // the connection ends without an answer
	Circle    Trouble = "circle"    // redirects that come back to where they began
	Swollen   Trouble = "swollen"   // the true answer with Fault.Bytes of nothing in it
	Bomb      Trouble = "bomb"      // the true answer after 1 GB of blanks, in a few megabytes of gzip

	// These are of the changelog only; elsewhere they change nothing.
	Refused  Trouble = "refused"  // the fault Fault.Code of XML-RPC
	Behind   Trouble = "behind"   // answers as it did Fault.By serials ago
	Repeated Trouble = "repeated" // the page before the one that was asked for
	Shuffled Trouble = "shuffled" // half of the events come twice, all in disorder
)

// Troubles returns all troubles.
func Troubles() []Trouble {
	return []Trouble{
		Status, Truncated, Cut, Stalled, Silent, Lying, Dropped, Circle, Swollen, Bomb, Refused, Behind, Repeated, Shuffled,
	}
}

// bombSize is what a Bomb unpacks to, in bytes.
const bombSize = 1 << 30

// Fault breaks the answers below a path.
type Fault struct {
	Trouble    Trouble
	Status     int    // for the trouble Status
	RetryAfter string // sent as the header of that name, if not empty
	Times      int    // how many answers to break; 0: all until Mend
	Code       int    // for Refused; default FaultRefused
	By         int64  // for Behind
	Bytes      int    // for Swollen; default 5 MB
}

// Break spoils the answers to all paths that begin with prefix, such as "/simple/demo/" or "/"; the longest prefix
// that fits counts. The path of a call of the changelog is "/pypi#METHOD", so "/pypi#" is the changelog alone.
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

// ChangelogFault makes the next calls of the changelog end with a fault such as [FaultRefused], PyPI's way to say
// that there were too many calls; times as in [Fault].
func (s *Server) ChangelogFault(code, times int) {
	s.Break(changelogPath+"#", Fault{Trouble: Refused, Code: code, Times: times})
}

// HTMLOnly sets whether simple pages come as HTML whatever is asked for.
func (s *Server) HTMLOnly(on bool) { s.set(func(l *lacks) { l.json = on }) }

// NoDetails sets whether the per-project JSON API is missing.
func (s *Server) NoDetails(on bool) { s.set(func(l *lacks) { l.details = on }) }

// NoChangelog sets whether the changelog is missing: status 405.
func (s *Server) NoChangelog(on bool) { s.set(func(l *lacks) { l.changelog = on }) }

// NoSerials sets whether serials are missing from all pages and headers, as on a plain mirror.
func (s *Server) NoSerials(on bool) { s.set(func(l *lacks) { l.serials = on }) }

// NoPageSerials sets whether serials are missing from the pages of projects, and not from the list of all, as behind some
// proxies.
func (s *Server) NoPageSerials(on bool) { s.set(func(l *lacks) { l.pageSerials = on }) }

func (s *Server) set(change func(*lacks)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.lacks)
	s.changes++
}

// lent is what a stale cache holds.
type lent struct {
	project *project // nil: it held a 404
	times   int
}

// Stale makes the next times requests for the pages of a project see it as it is now, whatever happens to it
// meanwhile: a cache between PyPI and us.
func (s *Server) Stale(name string, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &lent{times: times}
	name = pep.NormalizeName(name)
	if p := s.projects[name]; p != nil {
		l.project = p.clone()
	}
	s.lent[name] = l
}

// Requests tells how often a path was asked for, broken answers included. Calls of the changelog are counted under
// "/pypi" and under "/pypi#METHOD".
func (s *Server) Requests(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[path]
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

// answer sends a buffered answer with its fault. http.ErrAbortHandler is net/http's own way to end a connection.
func (f Fault) answer(w http.ResponseWriter, r *http.Request, b *buffer) {
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	body := b.body.Bytes()
	switch f.Trouble {
	case Status:
		b.replace(f.Status, fmt.Appendf(nil, "%d %s\n", f.Status, http.StatusText(f.Status)))
	case Cut:
		b.body.Truncate(len(body) / 2)
	case Lying:
		b.replace(http.StatusOK, []byte("<html><body><h1>We'll be back soon</h1></body></html>\n"))
	case Swollen:
		b.replace(b.status, swell(body, cmp.Or(f.Bytes, 5_000_000)))
	case Circle:
		turn := r.URL.Path
		if r.URL.RawQuery == "" {
			turn += "?again"
		}
		w.Header().Set("Location", turn)
		b.replace(http.StatusFound, []byte("302 Found\n"))
	case Dropped:
		panic(http.ErrAbortHandler)
	case Silent:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case Bomb:
		sendBomb(w, b)
		return
	case Truncated, Stalled:
		f.sendHalf(w, r, b)
	}
	b.send(w, r, b.body.Len())
}

// sendHalf never returns.
func (f Fault) sendHalf(w http.ResponseWriter, r *http.Request, b *buffer) {
	b.send(w, r, b.body.Len()/2)
	_ = http.NewResponseController(w).Flush()
	if f.Trouble == Stalled {
		<-r.Context().Done()
	}
	panic(http.ErrAbortHandler)
}

// swell puts so many bytes into an answer that it stays what it is. Of one comment of megabytes some XML parsers
// take seconds; that would be another trouble.
func swell(body []byte, size int) []byte {
	if rest, ok := bytes.CutPrefix(body, []byte("{")); ok {
		return slices.Concat([]byte(`{"_padding": "`), bytes.Repeat([]byte("x"), size), []byte(`", `), rest)
	}
	comment := []byte("<!-- " + strings.Repeat("x", 990) + " -->\n")
	before, after, _ := bytes.Cut(body, []byte("\n")) // the declaration or document type
	return slices.Concat(before, []byte("\n"), bytes.Repeat(comment, 1+size/len(comment)), after)
}

// sendBomb makes its blanks on the fly; a client that has enough ends it.
func sendBomb(w http.ResponseWriter, b *buffer) {
	w.Header().Set("Content-Encoding", "gzip")
	w.WriteHeader(b.status)
	zip, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is a good one
	blanks := bytes.Repeat([]byte(" "), 1<<20)
	for range bombSize / len(blanks) {
		if _, err := zip.Write(blanks); err != nil {
			return
		}
	}
	_, _ = zip.Write(b.body.Bytes())
	_ = zip.Close()
}
