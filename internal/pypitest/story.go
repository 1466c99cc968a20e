package pypitest

import (
	"fmt"
	"slices"
	"testing"

	"pinwheel/internal/pep"
)

// Create registers a project that has no releases yet.
func (s *Server) Create(name string) error {
	if !pep.ValidName(name) {
		return fmt.Errorf("create %q: not a valid project name (PEP 508)", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.projects[pep.NormalizeName(name)] != nil {
		return fmt.Errorf("create %s: it is there already", name)
	}
	s.create(name)
	return nil
}

func (s *Server) create(name string) *project {
	p := &project{display: name, status: StatusActive}
	s.projects[pep.NormalizeName(name)] = p
	s.tell(p, "", "create")
	return p
}

// Add publishes releases, all at once. A version that is there already is an error, as on PyPI.
func (s *Server) Add(releases ...Release) error {
	return s.publishAll(releases, func(p *project, r *published) error {
		if p != nil && p.find(r.Version) != nil {
			return fmt.Errorf("add %s==%s: it is there already", r.Name, r.Version)
		}
		return nil
	})
}

// Upload publishes those files of releases that are not there yet, all at once: the sdist that follows its wheel. Of
// a release that is there already nothing else changes.
func (s *Server) Upload(releases ...Release) error {
	return s.publishAll(releases, func(*project, *published) error { return nil })
}

// publishAll makes all files before any is shown.
func (s *Server) publishAll(releases []Release, check func(*project, *published) error) error {
	all := make([]*published, 0, len(releases))
	for _, r := range releases {
		r, err := r.complete(s.base)
		if err != nil {
			return err
		}
		files, err := r.build()
		if err != nil {
			return fmt.Errorf("make %s==%s: %w", r.Name, r.Version, err)
		}
		all = append(all, &published{Release: r, files: files})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range all {
		if err := check(s.projects[pep.NormalizeName(r.Name)], r); err != nil {
			return err
		}
		s.publish(r)
	}
	return nil
}

// publish tells everything that an upload of these files tells. The project is shown as the newest upload spells it.
func (s *Server) publish(r *published) {
	p := s.projects[pep.NormalizeName(r.Name)]
	if p == nil {
		p = s.create(r.Name)
	}
	files := slices.DeleteFunc(r.files, func(f file) bool { return p.holder(f.name) != nil })
	if old := p.find(r.Version); old != nil {
		if len(files) > 0 {
			p.display = r.Name
		}
		s.uploadAll(p, old, files)
		return
	}
	p.display, r.files = r.Name, nil
	p.releases = append(p.releases, r)
	s.tell(p, r.Version, "new release")
	if r.Uploaded.IsZero() {
		r.Uploaded = s.stamp()
	}
	for i := range files {
		files[i].uploaded = r.Uploaded
	}
	s.uploadAll(p, r, files)
	if r.Yanked {
		s.tell(p, r.Version, "yank release")
	}
}

func (s *Server) uploadAll(p *project, r *published, files []file) {
	for _, f := range files {
		s.upload(p, r, f)
	}
}

func (s *Server) upload(p *project, r *published, f file) {
	if f.uploaded.IsZero() {
		f.uploaded = s.stamp()
	}
	r.files = append(r.files, f)
	s.tell(p, r.Version, "add "+pythonOf(f.name)+" file "+f.name)
}

// AddFile puts a hollow file of any name into a release. A project or release that is not there yet comes to be, as
// with a first upload.
func (s *Server) AddFile(name, version, filename string) error {
	if !pep.ValidName(name) || !plainText.MatchString(version) || !plainText.MatchString(filename) {
		return fmt.Errorf("add file %q to %q==%q: not a name, a version or a file name", filename, name, version)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.projects[pep.NormalizeName(name)]
	if p == nil {
		p = s.create(name)
	}
	if p.holder(filename) != nil {
		return fmt.Errorf("add file %s to %s==%s: it is there already", filename, name, version)
	}
	r := p.find(version)
	if r == nil {
		r = s.newRelease(p, version)
	}
	s.upload(p, r, hollowFile(filename))
	return nil
}

func (s *Server) newRelease(p *project, version string) *published {
	r := &published{Release: Release{Name: p.display, Version: version, Hollow: true}}
	p.releases = append(p.releases, r)
	s.tell(p, version, "new release")
	return r
}

// NewRelease makes a release without files; it is announced, and on no simple page.
func (s *Server) NewRelease(name, version string) error {
	return s.onProject("make a release of", name, func(p *project) error {
		if p.find(version) != nil || !plainText.MatchString(version) {
			return fmt.Errorf("make release %s==%s: it is there already, or no version", name, version)
		}
		s.newRelease(p, version)
		return nil
	})
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

// onProject changes a project that must be there.
func (s *Server) onProject(what, name string, change func(*project) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.projects[pep.NormalizeName(name)]
	if p == nil {
		return fmt.Errorf("%s %s: no such project", what, name)
	}
	s.changes++
	return change(p)
}

// onRelease changes a release that must be there, and tells it.
func (s *Server) onRelease(what, name, version, action string, change func(*published)) error {
	return s.onProject(what, name, func(p *project) error {
		r := p.find(version)
		if r == nil {
			return fmt.Errorf("%s %s==%s: no such release", what, name, version)
		}
		change(r)
		s.tell(p, version, action)
		return nil
	})
}
