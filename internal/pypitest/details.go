package pypitest

import (
	"net/http"
	"path"

	"pinwheel/internal/pep"
)

// serveDetails is the per-project JSON API. As on PyPI it knows nothing of projects without releases or in quarantine,
// and it shows releases without files.
func (s *Server) serveDetails(w http.ResponseWriter, r *http.Request) {
	name := pep.NormalizeName(r.PathValue("name"))
	p := s.shown(name)
	if p == nil || len(p.releases) == 0 || p.status == StatusQuarantined || s.lacks.details {
		http.Error(w, `{"message": "Not Found"}`, http.StatusNotFound)
		return
	}
	releases := map[string][]map[string]any{}
	for _, r := range p.releases {
		releases[r.Version] = []map[string]any{}
	}
	for _, l := range p.links() {
		releases[l.version] = append(releases[l.version], map[string]any{
			"filename": l.Filename, "url": s.base + path.Join("/files", name, l.Filename),
			"digests": map[string]string{"sha256": l.SHA256}, "size": l.Size, "upload_time_iso_8601": l.Uploaded,
			"requires_python": orNull(l.RequiresPython), "yanked": l.Yanked, "yanked_reason": orNull(l.YankReason),
			"packagetype": packageType(l.Filename), "python_version": pythonOf(l.Filename),
		})
	}
	w.Header().Set("Content-Type", "application/json")
	serial := s.pageSerial(p)
	s.setSerial(w, serial)
	latest := p.releases[len(p.releases)-1]
	answer := map[string]any{
		"info": map[string]any{
			"name": p.display, "version": latest.Version, "summary": latest.Summary, "requires_python": orNull(latest.RequiresPython),
		},
		"releases": releases,
	}
	if serial != 0 {
		answer["last_serial"] = serial
	}
	writeJSON(w, answer)
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
				_, _ = w.Write(f.content())
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
