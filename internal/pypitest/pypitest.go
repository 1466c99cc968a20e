// Package pypitest is a package index that tells stories: a fake PyPI whose projects are real sdists with an
// in-tree build backend, made from descriptions of a few lines, and whose answers can be broken at will.
//
// Input: [Release] values, or txtar texts of them (see [Parse]), and what happens to them afterwards, as methods or as
// lines of a script (see [Server.Tell]). Output: a server on a loopback port with simple pages in HTML and JSON, the
// per-project JSON API, the changelog over XML-RPC, and the files with their true hashes. What an sdist does while it
// is built is its [Kind]: make a wheel, fail, hang, ask questions, leave a daemon behind. [Server.State] tells the
// truth that a reader of all this should come to.
//
// It owns its listener and keeps everything in memory, so a crash leaves nothing behind. Sdists need no network and
// no other package, and the same description gives the same bytes on every server (but for the kind [Network],
// whose default address is the server's own); [Release.Hollow] files cost next to nothing. It never talks to a real
// index. A program that is no test uses [Start], and another process talks to it over HTTP (see [Server.Tell]).
package pypitest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Server is a running index. All its methods are safe for concurrent use.
type Server struct {
	base string // http://127.0.0.1:PORT
	http *http.Server
	stop context.CancelFunc // lets stalled answers go
	done chan struct{}

	zips sync.Pool // *gzip.Writer

	mu       sync.Mutex
	projects map[string]*project // by normalized name
	journal  journal
	backup   *backup          // nil: none was made
	uploads  int              // releases and files that were ever stamped with a time
	clock    func() time.Time // nil: the story's own time
	lent     map[string]*lent // what a stale cache still answers, by normalized name
	strays   []string         // names in the root list that have no page
	changes  int              // of what the root list shows
	roots    map[string]root  // rendered, by content type
	lacks    lacks
	faults   map[string]*Fault
	requests map[string]int
}

// lacks is what this index does not have of what PyPI has.
type lacks struct {
	json, details, changelog, serials, pageSerials bool
}

// New starts a server for one test, with the releases that the texts describe (see [Parse]), and stops it at the
// test's end.
func New(t testing.TB, texts ...string) *Server {
	t.Helper()
	s, err := Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, text := range texts {
		s.MustAdd(t, text)
	}
	return s
}

// Start starts a server on a free loopback port with the descriptions of all *.txtar files in a folder; an empty
// dir means none. Close it after use.
func Start(dir string) (*Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start fake index: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{
		base: "http://" + listener.Addr().String(), stop: stop, done: make(chan struct{}),
		projects: map[string]*project{}, journal: journal{pageSize: maxPage}, lent: map[string]*lent{},
		roots: map[string]root{}, faults: map[string]*Fault{}, requests: map[string]int{},
	}
	s.http = &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(listener) // ends with ErrServerClosed, by Close
	}()
	if err := s.load(dir); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) load(dir string) error {
	if dir == "" {
		return nil
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil {
		return fmt.Errorf("list descriptions in %s: %w", dir, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read descriptions: %w", err)
		}
		if err := s.AddText(string(text)); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// Close ends the server and every answer under way.
func (s *Server) Close() error {
	s.stop()
	err := s.http.Close()
	<-s.done
	if err != nil {
		return fmt.Errorf("stop fake index: %w", err)
	}
	return nil
}

// URL is the base of the simple index, as for pip's --index-url; it ends in /simple/.
func (s *Server) URL() string { return s.base + "/simple/" }

// Base is the root of the server, without a slash at the end.
func (s *Server) Base() string { return s.base }
