package pypi

import "pinwheel/internal/pep"

// date tells of releases of which pip takes no file, as legacy ones and those of eggs and installers, when they were
// made: by those files. Without it the oldest of a project would pass for its newest.
func date(p *Project, others []File) {
	if len(others) == 0 {
		return
	}
	releases := make(map[string]*Release, len(p.Releases))
	for i := range p.Releases {
		releases[p.Releases[i].Raw] = &p.Releases[i]
	}
	for _, f := range others {
		r := versionIn(p.Name, f.Filename, releases)
		if r == nil || r.Sdist != nil || len(r.Wheels) > 0 || f.Uploaded.IsZero() {
			continue // what pip takes has times of its own
		}
		if r.Uploaded.IsZero() || f.Uploaded.Before(r.Uploaded) {
			r.Uploaded = f.Uploaded
		}
	}
}

// versionIn finds the release whose version stands in a file's name behind the project's, the longest one: 1.1.2 and
// not 1.1 in demo-1.1.2.win32.exe. Nil: none.
func versionIn(normal, filename string, releases map[string]*Release) (found *Release) {
	for i := range len(filename) {
		if filename[i] != '-' || pep.NormalizeName(filename[:i]) != normal {
			continue
		}
		for end := i + 1; end < len(filename); end++ {
			if filename[end] != '-' && filename[end] != '.' {
				continue
			}
			if r := releases[filename[i+1:end]]; r != nil && (found == nil || len(r.Raw) > len(found.Raw)) {
				found = r
			}
		}
	}
	return found
}
