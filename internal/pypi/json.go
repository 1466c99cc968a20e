package pypi

import (
	"encoding/json"
	"io"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"pinwheel/internal/pep"
)

// serial is a number of the changelog. PEP 691 leaves its form open: fronts make text
// of it, as it stands in a header.
type serial int64

func (s *serial) UnmarshalJSON(b []byte) error {
	text := string(b)
	if len(text) > 1 && text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	if text == "null" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return &json.UnmarshalTypeError{Value: "serial", Type: reflect.TypeFor[int64]()}
	}
	*s = serial(n)
	return nil
}

// jsonMeta is what a page says of itself (PEP 629, PEP 691).
type jsonMeta struct {
	APIVersion string `json:"api-version"`
	LastSerial serial `json:"_last-serial"`
}

// jsonPage is a project page of PEP 691 with the additions of PEP 700 and 792, while it is read.
type jsonPage struct {
	page
	base   *url.URL
	meta   jsonMeta
	name   *string
	listed bool // there are files, if only none
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

// yank is false, true or a reason (PEP 691). An empty text is no reason and no yank, as pip has it.
type yank struct {
	is     bool
	reason string
}

func (y *yank) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		err := json.Unmarshal(b, &y.reason)
		y.is = y.reason != ""
		return err
	}
	return json.Unmarshal(b, &y.is)
}

// parseJSON reads a PEP 691 project page that came from the address at. Each file is decoded on its own, so that one
// odd file costs only itself.
func parseJSON(normal string, at *url.URL, body io.Reader) (page, error) {
	p := jsonPage{base: withoutUser(at)}
	if err := readJSON(body, "a project", p.key); err != nil {
		return page{}, err
	}
	if p.name == nil || !p.listed {
		return page{}, troubled(NotIndex, "not an index page: JSON without name and files")
	}
	if err := checkVersion(p.meta.APIVersion); err != nil {
		return page{}, err
	}
	if err := checkName(normal, *p.name); err != nil {
		return page{}, err
	}
	p.display, p.serial = *p.name, max(int64(p.meta.LastSerial), 0)
	return p.page, nil
}

// key takes one part of a page.
func (p *jsonPage) key(j *jsonReader, key string) error {
	switch key {
	case "meta":
		return j.must(&p.meta)
	case "name":
		return j.must(&p.name)
	case "project-status":
		var s struct{ Status, Reason string }
		_, err := j.take(&s)
		p.status, p.reason = s.Status, s.Reason
		return err
	case "versions":
		return j.array(func() error {
			var version string
			ok, err := j.take(&version)
			if p.versions = append(p.versions, version); !ok {
				p.versions = p.versions[:len(p.versions)-1]
				p.leftOut++
			}
			return err
		})
	case "files":
		p.listed = true
		return j.array(func() error {
			var f jsonFile
			ok, err := j.take(&f)
			p.add(f.file(p.base, ok))
			return err
		})
	}
	return j.skip()
}

// file checks a file that decoded well.
func (j *jsonFile) file(base *url.URL, ok bool) (File, bool) {
	if !ok || j.Filename == "" {
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

// checkName refuses an answer about somebody else, which a confused cache may give.
func checkName(normal, answered string) error {
	if !pep.ValidName(answered) || pep.NormalizeName(answered) != normal {
		return troubled(NotIndex, "the answer is about project %q", answered)
	}
	return nil
}

// parseTime returns the zero time for what is no time.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
