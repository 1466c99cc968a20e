package pypi

import (
	"bytes"
	"encoding/json"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	"pinwheel/internal/pep"
)

func FuzzHTML(f *testing.F) {
	f.Add([]byte(`<html><meta name="pypi:repository-version" content="1.0"><a href="demo-1.0.tar.gz#sha256=00">x</a></html><!--SERIAL 5-->`))
	f.Add([]byte(`<base href="https://h.example/"><a href="demo-1.0-py3-none-any.whl" data-yanked data-requires-python="&gt;=3">x</a>`))
	f.Add([]byte(`<a href="demo-1.0.zip"><a href="//me:pw@h/demo-1.0.zip">`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if p, err := parseHTML("demo", address(t), bytes.NewReader(body)); err == nil {
			checkProject(t, assemble("demo", p))
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"meta":{"api-version":"1.1","_last-serial":5},"name":"demo","versions":["1.0","x"],"files":[
		{"filename":"demo-1.0.zip","url":"https://h/demo-1.0.zip","hashes":{},"yanked":"no","size":5}]}`))
	f.Add([]byte(`{"meta":{"api-version":"1.0"},"name":"demo","files":[{"filename":"demo-1.0-py3-none-any.whl","url":"../demo-1.0-py3-none-any.whl"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if p, err := parseJSON("demo", address(t), bytes.NewReader(body)); err == nil {
			if !json.Valid(body) {
				t.Error("believed what is no JSON")
			}
			checkProject(t, assemble("demo", p))
		}
	})
}

func FuzzDetails(f *testing.F) {
	f.Add([]byte(`{"info":{"name":"Demo"},"last_serial":9,"releases":{"1.0":[{"filename":"demo-1.0.zip","size":3}],"old":[]}}`))
	f.Add([]byte(`{"info":{"name":"Demo"},"releases":{"1.0":[{"filename":"demo-1.0.zip","url":"https://h/demo-1.0.zip","yanked":true,"yanked_reason":"a\u0000",
		"requires_python":null,"digests":{"sha256":"00"},"upload_time_iso_8601":"2024-01-01T00:00:00Z"}, 5]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := parseDetails("demo", bytes.NewReader(body))
		if err != nil {
			return
		}
		p := page{files: []File{{Filename: "demo-1.0.zip", URL: "https://h.example/demo-1.0.zip"}}}
		d.addTo(&p)
		checkProject(t, assemble("demo", p))
		if alone, err := d.page(address(t)); err == nil {
			checkProject(t, assemble("demo", alone))
		}
	})
}

// checkProject holds what the rest of the farm relies on, whatever came in.
func checkProject(t *testing.T, p Project) {
	t.Helper()
	if pep.NormalizeName(p.Display) != "demo" || p.Serial < 0 {
		t.Errorf("display %q, serial %d", p.Display, p.Serial)
	}
	for i, r := range p.Releases {
		files := slices.Clone(r.Wheels)
		if r.Sdist != nil {
			files = append(files, *r.Sdist)
		}
		if r.Legacy && len(files) > 0 || strings.ContainsAny(r.Raw, "\x00\n\r") {
			t.Errorf("release %+v", r)
		}
		if i > 0 && !r.Legacy && !p.Releases[i-1].Legacy && p.Releases[i-1].Version.Compare(r.Version) >= 0 {
			t.Errorf("release %s does not come after %s", r.Raw, p.Releases[i-1].Raw)
		}
		for _, file := range files {
			checkFile(t, file)
		}
	}
}

func checkFile(t *testing.T, f File) {
	t.Helper()
	u, err := url.Parse(f.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.Fragment != "" {
		t.Fatalf("address %q, %v", f.URL, err)
	}
	if path.Base(u.Path) != f.Filename || strings.ContainsAny(f.Filename, "/\\ \x00\n") || strings.HasPrefix(f.Filename, ".") {
		t.Errorf("file name %q at %q", f.Filename, f.URL)
	}
	if (f.SHA256 != "" && len(f.SHA256) != 64) || f.Size < 0 || strings.ContainsAny(f.YankReason+f.RequiresPython, "\x00\n") {
		t.Errorf("file %+v", f)
	}
}
