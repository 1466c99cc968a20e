package pypitest

import (
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// root is the rendered list of all projects, kept until something changes: of a whole PyPI it is tens of megabytes.
type root struct {
	changes int
	body    []byte
}

// entry is one project in the list of all.
type entry struct {
	Name   string `json:"name"`
	Serial int64  `json:"_last-serial,omitempty"`
	normal string
}

// ListStrays puts names into the root list that have no page: control characters and whatever else.
func (s *Server) ListStrays(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.strays = append(s.strays, names...)
	s.changes++
}

// entries are what the root list shows: as on PyPI, names as they are spelled, and none that is in quarantine.
func (s *Server) entries() []entry {
	all := make([]entry, 0, len(s.projects)+len(s.strays))
	for _, name := range slices.Sorted(maps.Keys(s.projects)) {
		if p := s.projects[name]; p.status != StatusQuarantined {
			all = append(all, entry{Name: p.display, Serial: s.meta(p.serial).Serial, normal: name})
		}
	}
	for _, name := range s.strays {
		all = append(all, entry{Name: name, Serial: s.meta(s.journal.serial).Serial, normal: name})
	}
	return all
}

func (s *Server) serveRoot(w http.ResponseWriter, r *http.Request) {
	s.setSerial(w, s.journal.serial)
	kind := s.negotiate(w, r)
	page, ok := s.roots[kind]
	if !ok || page.changes != s.changes {
		page = root{changes: s.changes, body: s.renderRoot(kind)}
		s.roots[kind] = page
	}
	_, _ = w.Write(page.body)
}

func (s *Server) renderRoot(kind string) []byte {
	if kind == typeJSON {
		body, _ := json.Marshal(struct { // there is nothing in it that could fail
			Meta     meta    `json:"meta"`
			Projects []entry `json:"projects"`
		}{s.meta(s.journal.serial), s.entries()})
		return body
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html>\n  <head><meta name=\"pypi:repository-version\" content=\"%s\">"+
		"<title>Simple index</title></head>\n  <body>\n", apiVersion)
	for _, e := range s.entries() {
		fmt.Fprintf(&b, "    <a href=\"%s/\">%s</a><br>\n", template.HTMLEscapeString(e.normal), template.HTMLEscapeString(e.Name))
	}
	fmt.Fprintf(&b, "  </body>\n</html>\n%s", s.mark(s.journal.serial))
	return []byte(b.String())
}
