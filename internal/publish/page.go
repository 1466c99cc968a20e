package publish

import (
	"cmp"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"pinwheel/internal/store"
)

// The versions of the simple API that pages are written in (PEP 629, 700): a page
// that tells the status of its project needs a later one (PEP 792).
const (
	apiVersion       = "1.1"
	apiVersionStatus = "1.4"
)

// hasStatus says whether there is something to tell: projects are active if
// nothing is said.
func hasStatus(p store.Page) bool { return p.Status != "" && p.Status != "active" }

func versionOf(p store.Page) string {
	if hasStatus(p) {
		return apiVersionStatus
	}
	return apiVersion
}

// uploadTime is PEP 700's form: UTC, with microseconds.
const uploadTime = "2006-01-02T15:04:05.000000Z"

// The pages are put together by hand: they have few places where something goes
// in, and hundreds of thousands of them are written. Whatever goes in is escaped
// there, however harmless it should be.

func openHTML(title, version string, more ...[2]string) []byte {
	b := make([]byte, 0, 4096)
	b = append(b, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"...)
	for _, m := range append([][2]string{{"pypi:repository-version", version}}, more...) {
		b = append(b, "<meta"...)
		b = attribute(b, "name", m[0])
		b = attribute(b, "content", m[1])
		b = append(b, ">\n"...)
	}
	b = append(b, "<title>"...)
	b = append(b, html.EscapeString(title)...)
	return append(b, "</title>\n</head>\n<body>\n"...)
}

func closeHTML(b []byte) []byte { return append(b, "</body>\n</html>\n"...) }

// statusMeta is the project's status as HTML has it (PEP 792).
func statusMeta(p store.Page) (list [][2]string) {
	if hasStatus(p) {
		list = append(list, [2]string{"pypi:project-status", p.Status})
		if p.StatusReason != "" {
			list = append(list, [2]string{"pypi:project-status-reason", p.StatusReason})
		}
	}
	return list
}

// projectHTML is a project's page (PEP 503); its heading, which only people read, has
// the project's name as its authors write it now. The metadata attribute has its new
// name only: with the old one, pip 22.3 to 23.0 throws the wheels away (PEP 714).
func projectHTML(p store.Page, entries []entry) []byte {
	title := "Links for " + cmp.Or(p.Display, p.Package)
	b := openHTML(title, versionOf(p), statusMeta(p)...)
	b = append(b, "<h1>"+html.EscapeString(title)+"</h1>\n"...)
	for _, e := range entries {
		b = append(b, `<a href="`...)
		b = append(b, html.EscapeString(href(e.Filename)+"#sha256="+e.SHA256)...)
		b = append(b, '"')
		if e.RequiresPython != "" {
			b = attribute(b, "data-requires-python", e.RequiresPython)
		}
		if e.Yanked {
			b = attribute(b, "data-yanked", e.YankReason)
		}
		b = attribute(b, "data-core-metadata", "sha256="+e.MetadataSHA256)
		b = append(b, '>')
		b = append(b, html.EscapeString(e.Filename)...)
		b = append(b, "</a><br>\n"...)
	}
	return closeHTML(b)
}

func attribute(b []byte, name, value string) []byte {
	b = append(b, ' ')
	b = append(b, name...)
	b = append(b, `="`...)
	b = append(b, html.EscapeString(value)...)
	return append(b, '"')
}

// href makes a reference to a file beside the page. The plus sign of local
// versions is escaped too: some stores read it as a space.
func href(filename string) string {
	return strings.ReplaceAll(url.PathEscape(filename), "+", "%2B")
}

// The JSON form of a project's page (PEP 691, 700, 714, 792). It must never have the
// key dist-info-metadata: pip 22.3 to 23.0 crashes on it.
type (
	jsonProject struct {
		Meta     jsonMeta    `json:"meta"`
		Name     string      `json:"name"`
		Status   *jsonStatus `json:"project-status,omitempty"`
		Versions []string    `json:"versions"`
		Files    []jsonFile  `json:"files"`
	}
	jsonStatus struct {
		Status string `json:"status"`
		Reason string `json:"reason,omitempty"`
	}
	jsonMeta struct {
		APIVersion string `json:"api-version"`
	}
	jsonFile struct {
		Filename       string     `json:"filename"`
		URL            string     `json:"url"`
		Hashes         jsonHashes `json:"hashes"`
		RequiresPython string     `json:"requires-python,omitempty"`
		Size           int64      `json:"size"`
		UploadTime     string     `json:"upload-time"`
		Yanked         any        `json:"yanked"` // a bool, or the reason
		CoreMetadata   jsonHashes `json:"core-metadata"`
		BuildRecord    string     `json:"_build-record"` // ours: where it is, like url
	}
	jsonHashes struct {
		SHA256 string `json:"sha256"`
	}
)

// projectJSON is a project's page; entries are in order, hence versions too.
func projectJSON(p store.Page, entries []entry) ([]byte, error) {
	page := jsonProject{
		Meta: jsonMeta{versionOf(p)}, Name: p.Package,
		Versions: make([]string, 0, 8), Files: make([]jsonFile, 0, len(entries)),
	}
	if hasStatus(p) {
		page.Status = &jsonStatus{p.Status, p.StatusReason}
	}
	for i, e := range entries {
		// Equal versions are neighbours, whatever their spelling.
		if i == 0 || !e.version.Equal(entries[i-1].version) {
			page.Versions = append(page.Versions, e.version.String())
		}
		page.Files = append(page.Files, e.json())
	}
	b, err := json.Marshal(page)
	return append(b, '\n'), err
}

func (e entry) json() jsonFile {
	return jsonFile{
		Filename: e.Filename, URL: href(e.Filename), Hashes: jsonHashes{e.SHA256},
		RequiresPython: e.RequiresPython, Size: e.Size,
		UploadTime: e.Published.UTC().Truncate(time.Microsecond).Format(uploadTime),
		Yanked:     e.yanked(), CoreMetadata: jsonHashes{e.MetadataSHA256},
		BuildRecord: href(e.Filename + recordSuffix),
	}
}

// yanked is PEP 691's: false, true, or the reason, which is never empty.
func (e entry) yanked() any {
	if e.Yanked && e.YankReason != "" {
		return e.YankReason
	}
	return e.Yanked
}

// rootForm is one form of the root index, piece by piece: it has hundreds of
// thousands of names, in order and normalized.
type rootForm struct {
	open, close []byte
	name        func(b []byte, name string, first bool) []byte // appends one
}

// rootHTML is the root index (PEP 503).
func rootHTML() rootForm {
	return rootForm{open: openHTML("Simple index", apiVersion), close: closeHTML(nil), name: func(b []byte, n string, _ bool) []byte {
		n = html.EscapeString(n)
		b = append(b, `<a href="`...)
		b = append(b, n...)
		b = append(b, `/">`...)
		b = append(b, n...)
		return append(b, "</a><br>\n"...)
	}}
}

// rootJSON is the root index (PEP 691).
func rootJSON() rootForm {
	return rootForm{
		open:  []byte(`{"meta":{"api-version":"` + apiVersion + `"},"projects":[`),
		close: []byte("]}\n"),
		name: func(b []byte, n string, first bool) []byte {
			if !first {
				b = append(b, ',')
			}
			b = append(b, `{"name":`...)
			b = strconv.AppendQuote(b, n) // a normalized name is plain ASCII: the same in Go and in JSON
			return append(b, '}')
		},
	}
}

// page is the whole form.
func (f rootForm) page(names []string) []byte {
	b := slices.Clone(f.open)
	for i, n := range names {
		b = f.name(b, n, i == 0)
	}
	return append(b, f.close...)
}
