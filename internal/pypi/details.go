package pypi

import (
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// details is PyPI's per-project JSON API. It completes HTML pages, which lack sizes and times, or stands in for them.
type details struct {
	info struct {
		Name string `json:"name"`
	}
	serial   int64
	releases map[string][]detailsFile // nil: none are told, not even that there are none
	leftOut  int                      // files of another shape
}

type detailsFile struct {
	Filename       string            `json:"filename"`
	URL            string            `json:"url"`
	Digests        map[string]string `json:"digests"`
	Size           int64             `json:"size"`
	UploadTime     string            `json:"upload_time_iso_8601"`
	RequiresPython *string           `json:"requires_python"`
	Yanked         bool              `json:"yanked"`
	YankedReason   *string           `json:"yanked_reason"`
}

func parseDetails(normal string, body io.Reader) (details, error) {
	var d details
	if err := readJSON(body, "a project", d.key); err != nil {
		return details{}, err
	}
	if d.info.Name == "" {
		return details{}, troubled(NotIndex, "JSON without info.name")
	}
	return d, checkName(normal, d.info.Name)
}

func (d *details) key(j *jsonReader, key string) error {
	switch key {
	case "info":
		return j.must(&d.info)
	case "last_serial":
		_, err := j.take(&d.serial)
		d.serial = max(d.serial, 0)
		return err
	case "releases":
		d.releases = map[string][]detailsFile{}
		return j.object(func(version string) error {
			d.releases[version] = nil
			return j.array(func() error {
				var f detailsFile
				ok, err := j.take(&f)
				if !ok {
					d.leftOut++
					return err
				}
				d.releases[version] = append(d.releases[version], f)
				return nil
			})
		})
	}
	return j.skip()
}

// addTo completes a page. The page stays in charge, for it is what pip reads: files that only the details know
// are not added (an answer may be older than the other), nor facts about other bytes under the same name.
func (d *details) addTo(p *page) {
	facts := map[string]detailsFile{}
	for _, version := range slices.Sorted(maps.Keys(d.releases)) { // of two spellings the same one comes first each time
		p.versions = append(p.versions, version)
		for _, f := range d.releases[version] {
			facts[f.Filename] = f
		}
	}
	p.display, p.spelled = d.info.Name, true
	setDefault(&p.serial, d.serial)
	for _, files := range [][]File{p.files, p.others} {
		for i := range files {
			files[i].complete(facts[files[i].Filename])
		}
	}
}

func (f *File) complete(d detailsFile) {
	digest := strings.ToLower(d.Digests["sha256"])
	if !sha256Hex.MatchString(digest) || (f.SHA256 != "" && f.SHA256 != digest) {
		return
	}
	f.SHA256, f.Size, f.Uploaded = digest, max(d.Size, 0), parseTime(d.UploadTime)
}

// page makes a page of the details alone. at is where they came from. They have no place for a project's status, and of
// two spellings of a version they do not tell which stands last on the page: there the next page has the word.
func (d *details) page(at *url.URL) (page, error) {
	if d.releases == nil {
		return page{}, troubled(NotIndex, "JSON without releases")
	}
	p := page{display: d.info.Name, spelled: true, serial: d.serial, leftOut: d.leftOut}
	base := withoutUser(at)
	for _, version := range slices.Sorted(maps.Keys(d.releases)) {
		p.versions = append(p.versions, version)
		for _, f := range d.releases[version] {
			p.add(f.file(base))
		}
	}
	return p, nil
}

func (d *detailsFile) file(base *url.URL) (File, bool) {
	if d.Filename == "" {
		return File{}, false
	}
	f, ok := newFile(base, d.URL, d.Filename)
	if digest := d.Digests["sha256"]; digest != "" {
		f.SHA256 = strings.ToLower(digest)
		ok = ok && sha256Hex.MatchString(f.SHA256)
	}
	if d.RequiresPython != nil {
		f.RequiresPython = clean(*d.RequiresPython)
	}
	if f.Yanked = d.Yanked; d.Yanked && d.YankedReason != nil {
		f.YankReason = clean(*d.YankedReason)
	}
	f.Size, f.Uploaded = max(d.Size, 0), parseTime(d.UploadTime)
	return f, ok
}
