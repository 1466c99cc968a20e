package pypitest

import (
	"encoding/json"
	"html/template"
	"maps"
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
	apiVersion  = "1.3"
	timeLayout  = "2006-01-02T15:04:05.000000Z" // PEP 700
	serialField = "X-PyPI-Last-Serial"
)

var projectPage = template.Must(template.New("project").Parse(`<!DOCTYPE html>
<html>
  <head>
    <meta name="pypi:repository-version" content="{{.Version}}">
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
`))

var rootPage = template.Must(template.New("root").Parse(`<!DOCTYPE html>
<html>
  <head><meta name="pypi:repository-version" content="{{.Version}}"><title>Simple index</title></head>
  <body>
{{- range .Names}}
    <a href="{{.}}/">{{.}}</a><br>
{{- end}}
  </body>
</html>
`))

// link is a file as the pages show it.
type link struct {
	Filename, SHA256, Metadata, RequiresPython, YankReason string
	Yanked                                                 bool
	Size                                                   int
	Uploaded                                               string
	version                                                string
}

func (p *project) links() []link {
	var links []link
	for _, r := range p.releases {
		for _, f := range r.files {
			l := link{
				Filename: f.name, SHA256: f.sha256, RequiresPython: r.RequiresPython, Yanked: r.Yanked,
				YankReason: r.YankReason, Size: len(f.data), Uploaded: r.Uploaded.UTC().Format(timeLayout), version: r.Version,
			}
			if f.metadata != nil {
				l.Metadata = hexSum(f.metadata)
			}
			links = append(links, l)
		}
	}
	return links
}

func (p *project) versions() []string {
	versions := []string{}
	for _, r := range p.releases {
		versions = append(versions, r.Version)
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

func (s *Server) serveRoot(w http.ResponseWriter, r *http.Request) {
	names := slices.Sorted(maps.Keys(s.projects))
	w.Header().Set(serialField, strconv.FormatInt(s.serial, 10))
	if kind := s.negotiate(w, r); kind != typeJSON {
		_ = rootPage.Execute(w, map[string]any{"Version": apiVersion, "Names": names})
		return
	}
	projects := []map[string]any{}
	for _, name := range names {
		projects = append(projects, map[string]any{"name": name, "_last-serial": s.projects[name].serial})
	}
	writeJSON(w, map[string]any{"meta": meta(s.serial), "projects": projects})
}

func (s *Server) serveProject(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if normal := pep.NormalizeName(name); normal != name {
		http.Redirect(w, r, "/simple/"+normal+"/", http.StatusMovedPermanently)
		return
	}
	p := s.projects[name]
	if p == nil {
		http.Error(w, "404 Not Found", http.StatusNotFound)
		return
	}
	w.Header().Set(serialField, strconv.FormatInt(p.serial, 10))
	if kind := s.negotiate(w, r); kind != typeJSON {
		_ = projectPage.Execute(w, map[string]any{"Version": apiVersion, "Name": name, "Files": p.links()})
		return
	}
	files := []map[string]any{}
	for _, l := range p.links() {
		files = append(files, l.simpleJSON(s.base, name))
	}
	writeJSON(w, map[string]any{"meta": meta(p.serial), "name": name, "versions": p.versions(), "files": files})
}

func meta(serial int64) map[string]any {
	return map[string]any{"api-version": apiVersion, "_last-serial": serial}
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

func (s *Server) serveDetails(w http.ResponseWriter, r *http.Request) {
	name := pep.NormalizeName(r.PathValue("name"))
	p := s.projects[name]
	if p == nil || s.noDetails {
		http.Error(w, `{"message": "Not Found"}`, http.StatusNotFound)
		return
	}
	releases := map[string][]map[string]any{}
	for _, l := range p.links() {
		releases[l.version] = append(releases[l.version], map[string]any{
			"filename": l.Filename, "url": s.base + path.Join("/files", name, l.Filename),
			"digests": map[string]string{"sha256": l.SHA256}, "size": l.Size, "upload_time_iso_8601": l.Uploaded,
			"requires_python": orNull(l.RequiresPython), "yanked": l.Yanked, "yanked_reason": orNull(l.YankReason),
		})
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set(serialField, strconv.FormatInt(p.serial, 10))
	writeJSON(w, map[string]any{
		"info": map[string]any{"name": p.display}, "last_serial": p.serial, "releases": releases,
	})
}

func (s *Server) serveFile(w http.ResponseWriter, r *http.Request) {
	p, want := s.projects[r.PathValue("name")], r.PathValue("file")
	if p == nil {
		http.NotFound(w, r)
		return
	}
	for _, release := range p.releases {
		for _, f := range release.files {
			if f.name == want {
				w.Header().Set("Content-Type", "application/octet-stream")
				_, _ = w.Write(f.data)
				return
			}
			if f.metadata != nil && f.name+".metadata" == want {
				_, _ = w.Write(f.metadata)
				return
			}
		}
	}
	http.NotFound(w, r)
}

// negotiate sets the content type and returns it: what the client likes best of what we have (PEP 691).
func (s *Server) negotiate(w http.ResponseWriter, r *http.Request) string {
	best, quality := typeText, -1.0
	for _, kind := range []string{typeText, typeHTML, typeJSON} {
		if q := accepts(r.Header.Get("Accept"), kind); q > quality && !(s.htmlOnly && kind != typeText) {
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
