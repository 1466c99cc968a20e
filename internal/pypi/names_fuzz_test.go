package pypi

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/pep"
)

// visited reads a list by one of the two parsers.
func visited(t *testing.T, read func(*listing) error) ([]string, error) {
	t.Helper()
	names := []string{}
	l := &listing{visit: func(p Listed) error {
		name, serial := p.Name, p.Serial
		if !possible(name) || pep.NormalizeName(name) != name || serial < 0 {
			t.Errorf("visited %q, serial %d", name, serial)
		}
		names = append(names, name)
		return nil
	}}
	err := read(l)
	if l.info.Count != len(names) {
		t.Errorf("%d counted, %d visited", l.info.Count, len(names))
	}
	return names, err
}

// FuzzNamesJSON holds the piecemeal reading to that of the whole by encoding/json.
func FuzzNamesJSON(f *testing.F) {
	f.Add([]byte(`{"meta":{"_last-serial":"5","api-version":"1.4"},"projects":[{"_last-serial":"4","name":"Demo_Pkg"},{"name":"b"}]}`))
	f.Add([]byte(`{"projects":[5,{"name":"a\u0001"},{"name":"a","_last-serial":1.5}],"x":[{}],"meta":{"api-version":"1.0"}}`))
	f.Add([]byte(`{"meta":{"api-version":"1.0"},"projects":[{"name":"a"}`))
	f.Add([]byte(`{"message":"no"} {}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := visited(t, func(l *listing) error { return l.json(bytes.NewReader(body)) })
		if err == nil && !json.Valid(body) {
			t.Fatal("believed what is no JSON")
		}
		if bytes.Contains(body, []byte(`\`)) || bytes.Count(body, []byte(`"projects"`)) != 1 || bytes.Count(body, []byte(`"meta"`)) != 1 {
			return // the whole would take the last of several keys
		}
		want, good := wholeList(body)
		if good != (err == nil) || (good && !cmp.Equal(want, got)) {
			t.Errorf("good is %t, error %v; -whole +pieces:\n%s", good, err, cmp.Diff(want, got))
		}
	})
}

func wholeList(body []byte) (names []string, good bool) {
	top := map[string]json.RawMessage{}
	var meta struct {
		APIVersion string `json:"api-version"`
		Serial     serial `json:"_last-serial"`
	}
	var projects []json.RawMessage
	if json.Unmarshal(body, &top) != nil || json.Unmarshal(top["meta"], &meta) != nil || checkVersion(meta.APIVersion) != nil ||
		!bytes.HasPrefix(bytes.TrimSpace(top["projects"]), []byte("[")) || json.Unmarshal(top["projects"], &projects) != nil {
		return nil, false
	}
	names = []string{}
	for _, raw := range projects {
		var p jsonName
		if json.Unmarshal(raw, &p) == nil && possible(p.Name) {
			names = append(names, pep.NormalizeName(p.Name))
		}
	}
	return names, true
}

// FuzzNamesHTML: a list is never believed that lost its end, and never holds what is no name.
func FuzzNamesHTML(f *testing.F) {
	f.Add(`<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.0"></head><body><a href="/simple/a-b/">A.b</a><br></body></html><!--SERIAL 5-->`)
	f.Add(`<base href="x/"><a href="a">a</a><a href='b'>b`)
	f.Add(`<a href="/login">login</a>`)
	f.Fuzz(func(t *testing.T, body string) {
		read := func(s string) ([]string, error) {
			return visited(t, func(l *listing) error { return l.html(address(t), strings.NewReader(s)) })
		}
		names, err := read(body)
		if err == nil && len(names) == 0 && !strings.Contains(strings.ToLower(body), "pypi:repository-version") && !strings.Contains(body, "&") {
			t.Error("believed a list of nothing that does not call itself one")
		}
		if _, err := read("<html>" + strings.ReplaceAll(strings.ToLower(body), "</html", "<br")); err == nil {
			t.Error("believed what has no end")
		}
	})
}
