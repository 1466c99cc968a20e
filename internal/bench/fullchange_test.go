package bench_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"pinwheel/internal/pypi"
)

// telling is a drawn upstream over HTTP, which releases something new now and then
// and says so in its changelog.
type telling struct {
	mu     sync.Mutex
	told   []release // by serial, the first is pypiSerial+1
	latest map[string]int
}

// release is what an event is about: one more version of a project.
type release struct {
	name string
	at   time.Time
}

// tell releases a new version of each project.
func (t *telling) tell(names ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range names {
		t.latest[name] = len(t.told)
		t.told = append(t.told, release{name, time.Now()})
	}
}

func (t *telling) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		t.changelog(w, r)
		return
	}
	name, ok := strings.CutPrefix(strings.Trim(r.URL.Path, "/"), "simple/")
	if !ok || name == "" { // a walk is another benchmark's
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	p := drawProject(name)
	t.mu.Lock()
	if i, ok := t.latest[name]; ok {
		p.Serial = pypiSerial + 1 + int64(i)
		p.Releases = append(p.Releases, another(p, t.told[i].at))
	}
	t.mu.Unlock()
	writePage(w, p)
}

// another is a release like the project's last one, only newer.
func another(p pypi.Project, at time.Time) pypi.Release {
	r := p.Releases[len(p.Releases)-1]
	f := pypi.File{Filename: strings.ReplaceAll(p.Name, "-", "_") + "-9.0.tar.gz", SHA256: strings.Repeat("9", 64), Size: 9000, Uploaded: at}
	f.URL = "http://f.example/packages/" + f.Filename
	return pypi.Release{Raw: "9.0", Uploaded: at, RequiresPython: r.RequiresPython, Sdist: &f}
}

// changelog answers XML-RPC as PyPI does, at most 50,000 events at once.
func (t *telling) changelog(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var c struct {
		Method string `xml:"methodName"`
		Since  int64  `xml:"params>param>value>int"`
	}
	if err == nil {
		err = xml.Unmarshal(body, &c)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	t.mu.Lock()
	all := t.told
	t.mu.Unlock()
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprint(w, "<?xml version='1.0'?>\n<methodResponse><params><param><value>")
	if c.Method == "changelog_last_serial" {
		fmt.Fprintf(w, "<int>%d</int>", pypiSerial+len(all))
	} else {
		fmt.Fprint(w, "<array><data>\n")
		for i := max(0, int(c.Since-pypiSerial)); i < min(len(all), int(c.Since-pypiSerial)+50_000); i++ {
			fmt.Fprintf(w, "<value><array><data><value><string>%s</string></value><value><string>9.0</string></value><value><int>%d</int></value>"+
				"<value><string>new release</string></value><value><int>%d</int></value></data></array></value>\n",
				all[i].name, all[i].at.Unix(), pypiSerial+1+i)
		}
		fmt.Fprint(w, "</data></array>")
	}
	fmt.Fprint(w, "</value></param></params></methodResponse>\n")
}

type page struct {
	Meta     map[string]any `json:"meta"`
	Name     string         `json:"name"`
	Versions []string       `json:"versions"`
	Files    []pageFile     `json:"files"`
}

type pageFile struct {
	Filename string            `json:"filename"`
	URL      string            `json:"url"`
	Hashes   map[string]string `json:"hashes"`
	Python   string            `json:"requires-python"`
	Yanked   any               `json:"yanked"`
	Size     int64             `json:"size"`
	Uploaded string            `json:"upload-time"`
}

// writePage writes a project's page in PEP 691's form.
func writePage(w http.ResponseWriter, p pypi.Project) {
	out := page{Meta: map[string]any{"api-version": "1.1", "_last-serial": p.Serial}, Name: p.Display, Files: []pageFile{}}
	for _, r := range p.Releases {
		out.Versions = append(out.Versions, r.Raw)
		files := r.Wheels
		if r.Sdist != nil {
			files = append(files, *r.Sdist)
		}
		for _, f := range files {
			pf := pageFile{Filename: f.Filename, URL: f.URL, Hashes: map[string]string{"sha256": f.SHA256}, Python: f.RequiresPython, Size: f.Size}
			pf.Yanked, pf.Uploaded = r.Yanked, f.Uploaded.UTC().Format("2006-01-02T15:04:05.000000Z")
			out.Files = append(out.Files, pf)
		}
	}
	w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
	w.Header().Set("X-PyPI-Last-Serial", strconv.FormatInt(p.Serial, 10))
	w.Header().Set("ETag", fmt.Sprintf(`"%s-%d"`, p.Name, p.Serial))
	_ = json.NewEncoder(w).Encode(out) // who is gone asks again
}
