package pypitest

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"pinwheel/internal/pep"
)

const (
	typeJSON    = "application/vnd.pypi.simple.v1+json"
	typeHTML    = "application/vnd.pypi.simple.v1+html"
	typeText    = "text/html"
	apiVersion  = "1.4"                         // PEP 792
	timeLayout  = "2006-01-02T15:04:05.000000Z" // PEP 700
	serialField = "X-PyPI-Last-Serial"
)

var projectPage = template.Must(template.New("project").Parse(`<!DOCTYPE html>
<html>
  <head>
    <meta name="pypi:repository-version" content="{{.Version}}">
    <meta name="pypi:project-status" content="{{.Status}}">
    {{- if .Reason}}
    <meta name="pypi:project-status-reason" content="{{.Reason}}">
    {{- end}}
    <title>Links for {{.Name}}</title>
  </head>
  <body>
    <h1>Links for {{.Name}}</h1>
{{- range .Files}}
    <a href="../../files/{{$.Name}}/{{.Filename}}#sha256={{.SHA256}}"
      {{- if .RequiresPython}} data-requires-python="{{.RequiresPython}}"{{end}}
      {{- if .Yanked}} data-yanked="{{.YankReason}}"{{end}}
      {{- if .Metadata}} data-core-metadata="sha256={{.Metadata}}"{{end}}>{{.Filename}}</a><br>
{{- end}}
  </body>
</html>
{{.Mark}}`))

// link is a file as the pages show it.
type link struct {
	Filename, SHA256, Metadata, RequiresPython, YankReason string
	Yanked                                                 bool
	Size                                                   int
	Uploaded                                               string
	version                                                string
}

// links are the files that pages show.
func (p *project) links() []link {
	var links []link
	for _, r := range p.releases {
		if p.hidden(r) {
			continue
		}
		for _, f := range r.files {
			l := link{
				Filename: f.name, SHA256: f.sha256, RequiresPython: r.RequiresPython, Yanked: r.Yanked,
				YankReason: r.YankReason, Size: len(f.content()), Uploaded: f.uploaded.UTC().Format(timeLayout), version: r.Version,
			}
			if f.metadata != nil {
				l.Metadata = hexSum(f.metadata)
			}
			links = append(links, l)
		}
	}
	return links
}

// versions are those that have files on the page, as PyPI understands PEP 700.
func versions(links []link) []string {
	versions := []string{}
	for _, l := range links {
		if !slices.Contains(versions, l.version) {
			versions = append(versions, l.version)
		}
	}
	return versions
}

// routes are the addresses of an index; the lock is held while any of them runs.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /simple/{$}", s.serveRoot)
	mux.HandleFunc("GET /simple/{name}/{$}", s.serveProject)
	mux.HandleFunc("GET /pypi/{name}/json", s.serveDetails)
	mux.HandleFunc("GET /files/{name}/{file}", s.serveFile)
	mux.HandleFunc("GET /outside/{name}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("you are outside\n"))
	})
	return mux
}

// mark is the comment at the end of PyPI's HTML.
func (s *Server) mark(serial int64) string {
	if s.lacks.serials || serial == 0 {
		return ""
	}
	return fmt.Sprintf("<!--SERIAL %d-->", serial)
}

func (s *Server) setSerial(w http.ResponseWriter, serial int64) {
	if !s.lacks.serials && serial != 0 {
		w.Header().Set(serialField, strconv.FormatInt(serial, 10))
	}
}

// pageSerial is what the pages of a project tell; 0: nothing.
func (s *Server) pageSerial(p *project) int64 {
	if s.lacks.serials || s.lacks.pageSerials {
		return 0
	}
	return p.serial
}

// meta is the same on all JSON pages; a serial of 0 is left out.
type meta struct {
	Version string `json:"api-version"`
	Serial  int64  `json:"_last-serial,omitempty"`
}

func (s *Server) meta(serial int64) meta {
	if s.lacks.serials {
		serial = 0
	}
	return meta{Version: apiVersion, Serial: serial}
}

// shown is what a request sees of a project: what a stale cache keeps, or the truth; nil: no such project.
func (s *Server) shown(name string) *project {
	if l := s.lent[name]; l != nil {
		if l.times--; l.times <= 0 {
			delete(s.lent, name)
		}
		return l.project
	}
	return s.projects[name]
}

func (s *Server) serveProject(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if normal := pep.NormalizeName(name); normal != name {
		http.Redirect(w, r, "/simple/"+normal+"/", http.StatusMovedPermanently)
		return
	}
	p := s.shown(name)
	if p == nil {
		http.Error(w, "404 Not Found", http.StatusNotFound)
		return
	}
	serial := s.pageSerial(p)
	s.setSerial(w, serial)
	links := p.links()
	if kind := s.negotiate(w, r); kind != typeJSON {
		_ = projectPage.Execute(w, map[string]any{
			"Version": apiVersion, "Name": name, "Files": links, "Status": p.status, "Reason": p.reason,
			"Mark": template.HTML(s.mark(serial)),
		})
		return
	}
	files := []map[string]any{}
	for _, l := range links {
		files = append(files, l.simpleJSON(s.base, name))
	}
	writeJSON(w, map[string]any{
		"meta": s.meta(serial), "name": name, "versions": versions(links), "files": files, "project-status": p.statusJSON(),
	})
}

// statusJSON is PEP 792.
func (p *project) statusJSON() map[string]string {
	m := map[string]string{"status": p.status}
	if p.reason != "" {
		m["reason"] = p.reason
	}
	return m
}

// simpleJSON is a file by PEP 691, 700 and 714.
func (l link) simpleJSON(base, name string) map[string]any {
	m := map[string]any{
		"filename": l.Filename, "url": base + path.Join("/files", name, l.Filename),
		"hashes": map[string]string{"sha256": l.SHA256}, "size": l.Size, "upload-time": l.Uploaded,
		"requires-python": orNull(l.RequiresPython), "yanked": l.Yanked, "core-metadata": false,
	}
	if l.Yanked && l.YankReason != "" {
		m["yanked"] = l.YankReason
	}
	if l.Metadata != "" {
		m["core-metadata"] = map[string]string{"sha256": l.Metadata}
	}
	return m
}

// negotiate sets the content type and returns it: what the client likes best of what we have (PEP 691).
func (s *Server) negotiate(w http.ResponseWriter, r *http.Request) string {
	best, quality := typeText, -1.0
	for _, kind := range []string{typeText, typeHTML, typeJSON} {
		if q := accepts(r.Header.Get("Accept"), kind); q > quality && !(s.lacks.json && kind != typeText) {
			best, quality = kind, q
		}
	}
	w.Header().Set("Vary", "Accept")
	w.Header().Set("Content-Type", best)
	return best
}

// accepts is the quality that an Accept header gives to a media type; 0: none.
func accepts(header, kind string) float64 {
	for part := range strings.SplitSeq(header, ",") {
		fields := strings.Split(part, ";")
		if name := strings.TrimSpace(fields[0]); name != kind && name != "*/*" {
			continue
		}
		for _, f := range fields[1:] {
			if q, ok := strings.CutPrefix(strings.TrimSpace(f), "q="); ok {
				quality, _ := strconv.ParseFloat(q, 64)
				return quality
			}
		}
		return 1
	}
	return 0
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func writeJSON(w http.ResponseWriter, v any) {
	_ = json.NewEncoder(w).Encode(v) // the buffer takes everything
}
