package pypi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"pinwheel/internal/pep"
)

// jsonPage is a project page of PEP 691 with the additions of PEP 700. Each file is decoded on its own, so that
// one odd file costs only itself.
type jsonPage struct {
	Meta struct {
		APIVersion string `json:"api-version"`
		LastSerial int64  `json:"_last-serial"`
	} `json:"meta"`
	Name     *string            `json:"name"`
	Versions []string           `json:"versions"`
	Files    *[]json.RawMessage `json:"files"`
}

type jsonFile struct {
	Filename       string            `json:"filename"`
	URL            string            `json:"url"`
	Hashes         map[string]string `json:"hashes"`
	RequiresPython *string           `json:"requires-python"`
	Yanked         yank              `json:"yanked"`
	Size           int64             `json:"size"`
	UploadTime     string            `json:"upload-time"`
}

// yank is false, true or a reason (PEP 691).
type yank struct {
	is     bool
	reason string
}

func (y *yank) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		y.is = true
		return json.Unmarshal(b, &y.reason)
	}
	return json.Unmarshal(b, &y.is)
}

// parseJSON reads a PEP 691 project page that came from the address at.
func parseJSON(normal string, at *url.URL, body []byte) (page, error) {
	var j jsonPage
	if err := json.Unmarshal(body, &j); err != nil {
		return page{}, notJSON(body, err)
	}
	if j.Name == nil || j.Files == nil {
		return page{}, errors.New("not an index page: JSON without name and files")
	}
	if err := checkVersion(j.Meta.APIVersion); err != nil {
		return page{}, err
	}
	if err := checkName(normal, *j.Name); err != nil {
		return page{}, err
	}
	p := page{display: *j.Name, serial: max(j.Meta.LastSerial, 0), versions: j.Versions}
	base := withoutUser(at)
	for _, raw := range *j.Files {
		p.add(decodeFile(base, raw))
	}
	return p, nil
}

func decodeFile(base *url.URL, raw json.RawMessage) (File, bool) {
	var j jsonFile
	if json.Unmarshal(raw, &j) != nil || j.Filename == "" {
		return File{}, false
	}
	f, ok := newFile(base, j.URL, j.Filename)
	if digest := j.Hashes["sha256"]; digest != "" {
		f.SHA256 = strings.ToLower(digest)
		ok = ok && sha256Hex.MatchString(f.SHA256)
	}
	if j.RequiresPython != nil {
		f.RequiresPython = clean(*j.RequiresPython)
	}
	f.Yanked, f.YankReason = j.Yanked.is, clean(j.Yanked.reason)
	f.Size, f.Uploaded = max(j.Size, 0), parseTime(j.UploadTime)
	return f, ok
}

// details is PyPI's per-project JSON API, of which we want only what an HTML page lacks.
type details struct {
	Info struct {
		Name string `json:"name"`
	} `json:"info"`
	LastSerial int64                        `json:"last_serial"`
	Releases   map[string][]json.RawMessage `json:"releases"`
}

type detailsFile struct {
	Filename   string            `json:"filename"`
	Digests    map[string]string `json:"digests"`
	Size       int64             `json:"size"`
	UploadTime string            `json:"upload_time_iso_8601"`
}

func parseDetails(normal string, body []byte) (details, error) {
	var d details
	if err := json.Unmarshal(body, &d); err != nil {
		return details{}, notJSON(body, err)
	}
	if d.Info.Name == "" {
		return details{}, errors.New("JSON without info.name")
	}
	return d, checkName(normal, d.Info.Name)
}

// addTo completes a page. The page stays in charge, for it is what pip reads: files that only the details know
// are not added (an answer may be older than the other), nor facts about other bytes under the same name.
func (d *details) addTo(p *page) {
	facts := map[string]detailsFile{}
	for version, files := range d.Releases {
		p.versions = append(p.versions, version)
		for _, raw := range files {
			var f detailsFile
			if json.Unmarshal(raw, &f) == nil {
				facts[f.Filename] = f
			}
		}
	}
	p.display = d.Info.Name
	if p.serial == 0 {
		p.serial = max(d.LastSerial, 0)
	}
	for i := range p.files {
		p.files[i].complete(facts[p.files[i].Filename])
	}
}

func (f *File) complete(d detailsFile) {
	digest := strings.ToLower(d.Digests["sha256"])
	if !sha256Hex.MatchString(digest) || (f.SHA256 != "" && f.SHA256 != digest) {
		return
	}
	f.SHA256, f.Size, f.Uploaded = digest, max(d.Size, 0), parseTime(d.UploadTime)
}

// checkName refuses an answer about somebody else, which a confused cache may give.
func checkName(normal, answered string) error {
	if !pep.ValidName(answered) || pep.NormalizeName(answered) != normal {
		return fmt.Errorf("the answer is about project %q", answered)
	}
	return nil
}

// notJSON says in plain words what a body is that does not parse.
func notJSON(body []byte, err error) error {
	start := strings.ToLower(strings.TrimSpace(string(body[:min(len(body), 200)])))
	if strings.HasPrefix(start, "<") {
		return errors.New("an HTML page where JSON was promised")
	}
	return fmt.Errorf("not the JSON of a project: %w", err)
}

// parseTime returns the zero time for what is no time.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
