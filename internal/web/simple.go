package web

import (
	"errors"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"pinwheel/internal/pep"
)

// toIndex and toProject add the slash that the references on the page need.
func (s *site) toIndex(w http.ResponseWriter, _ *http.Request) { redirect(w, "simple/") }

func (s *site) toProject(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("project")
	if !pep.ValidName(name) {
		notFound(w)
		return
	}
	redirect(w, pep.NormalizeName(name)+"/")
}

// redirect sends the visitor to a place that is said relative to the page that he
// asked for: unlike http.Redirect it works behind a proxy that serves the site
// under a path of its own.
func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusMovedPermanently)
}

func notFound(w http.ResponseWriter) { say(w, http.StatusNotFound, "not found") }

// index is the root index.
func (s *site) index(w http.ResponseWriter, r *http.Request) { s.page(w, r, "simple") }

// project is a project's page; only its normalized name has one (PEP 503).
func (s *site) project(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("project")
	switch {
	case !pep.ValidName(name):
		notFound(w)
	case name != pep.NormalizeName(name):
		redirect(w, "../"+pep.NormalizeName(name)+"/")
	default:
		s.page(w, r, path.Join("simple", name))
	}
}

// page serves the variant of a page that the visitor likes best of those that
// are there: just after a crash one of them may be missing for a moment.
func (s *site) page(w http.ResponseWriter, r *http.Request, dir string) {
	// Also on errors: a cache in between must not give one visitor's to another.
	w.Header().Set("Vary", "Accept, Accept-Encoding")
	allowed := negotiate(strings.Join(r.Header.Values("Accept"), ","))
	if len(allowed) == 0 {
		say(w, http.StatusNotAcceptable, "this page exists as "+offered())
		return
	}
	for _, v := range allowed {
		err := s.sendPage(w, r, path.Join(dir, v.file), v)
		if !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				s.broken(w, r, err)
			}
			return
		}
	}
	notFound(w)
}

func offered() string {
	var names []string
	for _, v := range variants() {
		names = append(names, v.accept[0])
	}
	return strings.Join(names, ", ")
}

// file serves a wheel, its metadata or its build record. Whatever has no such name does not exist,
// wherever it may lie: pages under their file names, files being written, dots.
func (s *site) file(w http.ResponseWriter, r *http.Request) {
	project, file := r.PathValue("project"), r.PathValue("file")
	wheel, isMetadata := strings.CutSuffix(file, ".metadata")
	wheel, isRecord := strings.CutSuffix(wheel, ".build.json")
	isRecord = isRecord && !isMetadata
	if _, err := pep.ParseWheelName(wheel); err != nil || !pep.ValidName(project) {
		notFound(w)
		return
	}
	if normal := pep.NormalizeName(project); normal != project {
		redirect(w, "../"+normal+"/"+escape(file))
		return
	}
	content := "application/octet-stream"
	switch {
	case isMetadata:
		content = "text/plain; charset=utf-8"
	case isRecord:
		content = "application/json"
	}
	err := s.sendFile(w, r, path.Join("simple", project, file), content)
	if errors.Is(err, fs.ErrNotExist) {
		notFound(w)
	} else if err != nil {
		s.broken(w, r, err)
	}
}
