package corpus

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"pinwheel/internal/pep"
	"pinwheel/internal/pip"
)

// odd is what a case wants the index to do with a file.
type odd struct {
	status   int
	requires string
	sha256   string
}

// index serves a case's files, as odd as the case wants it.
func (c *tried) index(t *testing.T, py pip.Python) string {
	t.Helper()
	files, odds := c.archives(t), map[string]odd{}
	for _, line := range c.serve {
		if line == "setuptools" {
			name, content := setuptools(t, py)
			files[name] = content
			continue
		}
		f := strings.SplitN(line, " ", 3)
		if len(f) != 3 {
			t.Fatalf("serve: %s: what about the file?", line)
		}
		o := odds[f[0]]
		switch f[1] {
		case "status":
			o.status, _ = strconv.Atoi(f[2])
		case "requires-python":
			o.requires = f[2]
		case "sha256":
			o.sha256 = f[2]
		default:
			t.Fatalf("serve: %s: nobody knows %s", line, f[1])
		}
		odds[f[0]] = o
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/simple/{name}/", func(w http.ResponseWriter, r *http.Request) {
		page := ""
		for file := range files {
			name, _, _ := strings.Cut(file, "-")
			if pep.NormalizeName(name) != pep.NormalizeName(r.PathValue("name")) {
				continue
			}
			hash, attribute := odds[file].sha256, ""
			if hash != "" {
				hash = "#sha256=" + hash
			}
			if odds[file].requires != "" {
				attribute = ` data-requires-python="` + html.EscapeString(odds[file].requires) + `"`
			}
			page += fmt.Sprintf("<a href=\"/files/%s%s\"%s>%[1]s</a>\n", file, hash, attribute)
		}
		if page == "" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, "<!DOCTYPE html>\n<html><body>"+page+"</body></html>")
	})
	mux.HandleFunc("/files/{file}", func(w http.ResponseWriter, r *http.Request) {
		content, ok := files[r.PathValue("file")]
		if s := odds[r.PathValue("file")].status; s != 0 {
			http.Error(w, http.StatusText(s), s)
			return
		}
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(content)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL + "/simple/"
}
