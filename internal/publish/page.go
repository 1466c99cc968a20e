package publish

import (
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// apiVersion is the version of the simple API that the pages are written in
// (PEP 629, 700).
const apiVersion = "1.1"

// uploadTime is PEP 700's form: UTC, with microseconds.
const uploadTime = "2006-01-02T15:04:05.000000Z"

// The pages are put together by hand: they have few places where something goes
// in, and hundreds of thousands of them are written. Whatever goes in is escaped
// there, however harmless it should be.

func openHTML(title string) []byte {
	b := make([]byte, 0, 4096)
	b = append(b, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"...)
	b = append(b, "<meta name=\"pypi:repository-version\" content=\""+apiVersion+"\">\n<title>"...)
	b = append(b, html.EscapeString(title)...)
	return append(b, "</title>\n</head>\n<body>\n"...)
}

func closeHTML(b []byte) []byte { return append(b, "</body>\n</html>\n"...) }

// projectHTML is a project's page (PEP 503). The metadata attribute has its new
// name only: with the old one, pip 22.3 to 23.0 throws the wheels away (PEP 714).
func projectHTML(project string, entries []entry) []byte {
	title := "Links for " + project
	b := openHTML(title)
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

// The JSON form of a project's page (PEP 691, 700, 714). It must never have the
// key dist-info-metadata: pip 22.3 to 23.0 crashes on it.
type (
	jsonProject struct {
		Meta     jsonMeta   `json:"meta"`
		Name     string     `json:"name"`
		Versions []string   `json:"versions"`
		Files    []jsonFile `json:"files"`
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
	}
	jsonHashes struct {
		SHA256 string `json:"sha256"`
	}
)

// projectJSON is a project's page; entries are in order, hence versions too.
func projectJSON(project string, entries []entry) ([]byte, error) {
	page := jsonProject{
		Meta: jsonMeta{apiVersion}, Name: project,
		Versions: make([]string, 0, 8), Files: make([]jsonFile, 0, len(entries)),
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
	return rootForm{open: openHTML("Simple index"), close: closeHTML(nil), name: func(b []byte, n string, _ bool) []byte {
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
