package pypitest

import (
	"fmt"
	"slices"

	"pinwheel/internal/pep"
)

// Yank marks a release as yanked (PEP 592), with a reason that may be empty.
func (s *Server) Yank(name, version, reason string) error {
	return s.onRelease("yank", name, version, "yank release", func(r *published) { r.Yanked, r.YankReason = true, reason })
}

// Unyank takes the mark back.
func (s *Server) Unyank(name, version string) error {
	return s.onRelease("unyank", name, version, "unyank release", func(r *published) { r.Yanked, r.YankReason = false, "" })
}

// RequirePython changes what a release says of Python, to any text. PyPI never does so, and tells no event; other
// indexes do.
func (s *Server) RequirePython(name, version, text string) error {
	return s.onProject("change", name, func(p *project) error {
		r := p.find(version)
		if r == nil {
			return fmt.Errorf("change %s==%s: no such release", name, version)
		}
		r.RequiresPython = text
		return nil
	})
}

// Remove takes versions of a project away, or without versions the whole project.
func (s *Server) Remove(name string, versions ...string) error {
	return s.onProject("remove", name, func(p *project) error {
		for _, v := range versions {
			if p.find(v) == nil {
				return fmt.Errorf("remove %s==%s: no such release", name, v)
			}
			p.releases = slices.DeleteFunc(p.releases, func(r *published) bool { return r.Version == v })
			s.tell(p, v, "remove release")
		}
		if len(versions) == 0 {
			s.tell(p, "", "remove project")
			delete(s.projects, pep.NormalizeName(name))
		}
		return nil
	})
}

// RemoveFile takes one file away; its release stays, be it without files.
func (s *Server) RemoveFile(name, filename string) error {
	return s.onProject("remove a file of", name, func(p *project) error {
		r := p.holder(filename)
		if r == nil {
			return fmt.Errorf("remove file %s of %s: no such file", filename, name)
		}
		r.removeFile(filename)
		s.tell(p, r.Version, "remove file "+filename)
		return nil
	})
}

// Rename changes the spelling under which a project is shown, "demo" to "De.Mo" is none, "demo" to "Demo" is.
func (s *Server) Rename(name, spelling string) error {
	return s.onProject("rename", name, func(p *project) error {
		if pep.NormalizeName(spelling) != pep.NormalizeName(name) {
			return fmt.Errorf("rename %s to %s: that would be another project", name, spelling)
		}
		old := p.display
		p.display = spelling
		s.tell(p, "", "rename from "+old)
		return nil
	})
}

// Quarantine withholds the files of releases, or without versions of the whole project, which then has that status
// and leaves the root list as well. The reason is the project's and may be empty.
func (s *Server) Quarantine(name, reason string, versions ...string) error {
	for _, v := range versions {
		err := s.onRelease("quarantine", name, v, "release quarantined", func(r *published) { r.quarantined = true })
		if err != nil {
			return err
		}
	}
	if len(versions) > 0 {
		return nil
	}
	return s.onProject("quarantine", name, func(p *project) error {
		p.status, p.reason = StatusQuarantined, reason
		s.tell(p, "", "project quarantined")
		return nil
	})
}

// ClearQuarantine takes a [Server.Quarantine] back.
func (s *Server) ClearQuarantine(name string, versions ...string) error {
	for _, v := range versions {
		err := s.onRelease("clear", name, v, "release quarantine cleared", func(r *published) { r.quarantined = false })
		if err != nil {
			return err
		}
	}
	if len(versions) > 0 {
		return nil
	}
	return s.onProject("clear", name, func(p *project) error {
		if p.status != StatusQuarantined {
			return fmt.Errorf("clear %s: it is not in quarantine", name)
		}
		p.status, p.reason = StatusActive, ""
		s.tell(p, "", "project quarantine cleared")
		return nil
	})
}

// SetStatus archives or deprecates a project, or makes it active again. No event tells it, and the serial stays:
// only the project's page shows it.
func (s *Server) SetStatus(name, status, reason string) error {
	return s.onProject("set the status of", name, func(p *project) error {
		switch {
		case !slices.Contains([]string{StatusActive, StatusArchived, StatusDeprecated}, status):
			return fmt.Errorf("set the status of %s: want active, archived or deprecated, not %q", name, status)
		case p.status == StatusQuarantined:
			return fmt.Errorf("set the status of %s: it is in quarantine", name)
		}
		p.status, p.reason = status, reason
		return nil
	})
}
