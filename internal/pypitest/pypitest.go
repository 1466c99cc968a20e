// Package pypitest is a package index that tells stories: a fake PyPI whose projects are real sdists with an
// in-tree build backend, made from descriptions of a few lines, and whose answers can be broken at will.
//
// Input: [Release] values, or txtar texts of them (see [Parse]). Output: a server on a loopback port with simple
// pages in HTML and JSON, the per-project JSON API, and the files with their true hashes. What an sdist does while
// it is built is its [Kind]: make a wheel, fail, hang, ask questions, leave a daemon behind.
//
// It owns its listener and keeps everything in memory, so a crash leaves nothing behind. Sdists need no network and
// no other package, and the same description gives the same bytes on every server (but for the kind [Network],
// whose default address is the server's own). It never talks to a real index. A program that is no test uses [Start].
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

	"pinwheel/internal/pep"
)

// Server is a running index. All its methods are safe for concurrent use.
type Server struct {
	base string // http://127.0.0.1:PORT
	http *http.Server
	stop context.CancelFunc // lets stalled answers go
	done chan struct{}

	mu        sync.Mutex
	projects  map[string]*project // by normalized name
	serial    int64
	htmlOnly  bool
	noDetails bool
	faults    map[string]*Fault
	requests  map[string]int
}

type project struct {
	display  string
	serial   int64
	releases []*published // in the order in which they came
}

// published is a release with the files made of it.
type published struct {
	Release
	files []file
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
		projects: map[string]*project{}, faults: map[string]*Fault{}, requests: map[string]int{},
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

// Add publishes releases. A version that is there already is an error, as on PyPI.
func (s *Server) Add(releases ...Release) error {
	for _, r := range releases {
		r, err := r.complete(s.base)
		if err != nil {
			return err
		}
		files, err := r.build()
		if err != nil {
			return fmt.Errorf("make %s==%s: %w", r.Name, r.Version, err)
		}
		if err := s.publish(&published{Release: r, files: files}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) publish(r *published) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := pep.NormalizeName(r.Name)
	p := s.projects[name]
	if p == nil {
		p = &project{display: r.Name}
		s.projects[name] = p
	}
	if p.find(r.Version) != nil {
		return fmt.Errorf("add %s==%s: it is there already", r.Name, r.Version)
	}
	s.touch(p)
	r.stamp(p.serial)
	p.releases = append(p.releases, r)
	return nil
}

// touch gives a project the next serial.
func (s *Server) touch(p *project) {
	s.serial++
	p.serial = s.serial
}

// AddText publishes the releases of a text (see [Parse]).
func (s *Server) AddText(text string) error {
	releases, err := Parse(text)
	if err != nil {
		return err
	}
	return s.Add(releases...)
}

// MustAdd is AddText for tests.
func (s *Server) MustAdd(t testing.TB, text string) {
	t.Helper()
	if err := s.AddText(text); err != nil {
		t.Fatal(err)
	}
}

// Yank marks a release as yanked (PEP 592), with a reason that may be empty.
func (s *Server) Yank(name, version, reason string) error {
	return s.change(name, version, func(r *published) { r.Yanked, r.YankReason = true, reason })
}

// Unyank takes the mark back.
func (s *Server) Unyank(name, version string) error {
	return s.change(name, version, func(r *published) { r.Yanked, r.YankReason = false, "" })
}

func (s *Server) change(name, version string, f func(*published)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.projects[pep.NormalizeName(name)]
	if p == nil || p.find(version) == nil {
		return fmt.Errorf("change %s==%s: no such release", name, version)
	}
	f(p.find(version))
	s.touch(p)
	return nil
}

// Remove takes versions of a project away, or without versions the whole project.
func (s *Server) Remove(name string, versions ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	normal := pep.NormalizeName(name)
	p := s.projects[normal]
	if p == nil {
		return fmt.Errorf("remove %s: no such project", name)
	}
	for _, v := range versions {
		if !p.remove(v) {
			return fmt.Errorf("remove %s==%s: no such release", name, v)
		}
	}
	s.touch(p)
	if len(versions) == 0 {
		delete(s.projects, normal)
	}
	return nil
}

func (p *project) find(version string) *published {
	for _, r := range p.releases {
		if r.Version == version {
			return r
		}
	}
	return nil
}

func (p *project) remove(version string) bool {
	for i, r := range p.releases {
		if r.Version == version {
			p.releases = append(p.releases[:i:i], p.releases[i+1:]...)
			return true
		}
	}
	return false
}
