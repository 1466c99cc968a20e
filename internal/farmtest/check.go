package farmtest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"pinwheel/internal/audit"
	"pinwheel/internal/depot"
	"pinwheel/internal/farm"
	"pinwheel/internal/publish"
	"pinwheel/internal/store"
)

// Farm is what Check looks at.
type Farm struct {
	Store    *store.Store
	DepotDir string
	SiteDir  string
	URL      string
}

// Check verifies the whole result: a full audit finds nothing, and what pip gets
// to see names exactly what the rows say, with hashes that are true of what it is
// sent. Stale pages are waited for first.
func (f Farm) Check(t testing.TB) {
	t.Helper()
	f.awaitPages(t)
	f.audit(t)
	packages, err := f.Store.PublishedPackages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range packages {
		names = append(names, p.Name)
		f.checkProject(t, p.Name)
	}
	f.checkRoot(t, names)
	f.checkCopies(t, append(names, ""))
}

// audit is what `master audit --full` does beside a running master.
func (f Farm) audit(t testing.TB) {
	t.Helper()
	files, err := depot.Look(f.DepotDir)
	if err != nil {
		t.Fatal(err)
	}
	report, err := audit.New(audit.Config{
		Store: f.Store, Depot: files, SiteDir: f.SiteDir, Render: publish.Render, RenderRoot: publish.RenderRoot,
		Full: true, Attended: true,
	}).Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range report.Findings {
		t.Error(finding)
	}
}

func (f Farm) awaitPages(t testing.TB) {
	t.Helper()
	Eventually(t, "all pages are written", func() bool {
		stale, err := f.Store.StalePages(t.Context(), 1)
		if err != nil || len(stale) > 0 {
			return false
		}
		// A new site has its root index a moment after the master is ready.
		_, err = os.Stat(filepath.Join(f.SiteDir, "simple", "index.json"))
		return err == nil
	})
}

// jsonPage is what a test reads of a PEP 691 page.
type jsonPage struct {
	Name  string `json:"name"`
	Files []struct {
		Filename     string            `json:"filename"`
		URL          string            `json:"url"`
		Hashes       map[string]string `json:"hashes"`
		Size         int64             `json:"size"`
		CoreMetadata map[string]string `json:"core-metadata"`
	} `json:"files"`
	Projects []struct {
		Name string `json:"name"`
	} `json:"projects"`
}

// checkProject holds one project's page, in both forms and as it is sent, against
// its rows. It reads them as pip does, not as publish writes them.
func (f Farm) checkProject(t testing.TB, name string) {
	t.Helper()
	row, err := f.Store.Page(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	base := f.URL + "/simple/" + name + "/"
	wantHTML := map[string]string{}
	wantJSON := map[string]string{}
	for _, w := range row.Wheels {
		if row.Withheld() || w.Quarantined {
			f.checkWithheld(t, base, w)
			continue
		}
		f.checkWheel(t, base, w)
		wantHTML[w.Filename] = w.SHA256 + " " + w.MetadataSHA256
		wantJSON[w.Filename] = fmt.Sprintf("%s %s %d", w.SHA256, w.MetadataSHA256, w.Size)
	}
	var page jsonPage
	if err := json.Unmarshal(get(t, base, "application/vnd.pypi.simple.v1+json"), &page); err != nil {
		t.Errorf("%s as JSON: %v", base, err)
	}
	gotJSON := map[string]string{}
	for _, x := range page.Files {
		gotJSON[x.Filename] = fmt.Sprintf("%s %s %d", x.Hashes["sha256"], x.CoreMetadata["sha256"], x.Size)
	}
	if diff := cmp.Diff(wantJSON, gotJSON); diff != "" {
		t.Errorf("%s as JSON (-rows +page):\n%s", base, diff)
	}
	if diff := cmp.Diff(wantHTML, links(t, base)); diff != "" {
		t.Errorf("%s as HTML (-rows +page):\n%s", base, diff)
	}
}

// checkWheel gets a wheel and its METADATA as pip does.
func (f Farm) checkWheel(t testing.TB, base string, w store.WheelRow) {
	t.Helper()
	if got := sum(get(t, base+url.PathEscape(w.Filename), "*/*")); got != w.SHA256 {
		t.Errorf("%s on the site has SHA-256 %s, its row says %s", w.Filename, got, w.SHA256)
	}
	if got := sum(get(t, base+url.PathEscape(w.Filename)+".metadata", "*/*")); got != w.MetadataSHA256 {
		t.Errorf("%s.metadata has SHA-256 %s, its row says %s", w.Filename, got, w.MetadataSHA256)
	}
	var record farm.BuildRecord
	if err := json.Unmarshal(get(t, base+url.PathEscape(w.Filename)+".build.json", "*/*"), &record); err != nil || record.Wheel.SHA256 != w.SHA256 {
		t.Errorf("the build record of %s is of %+v, %v", w.Filename, record.Wheel, err)
	}
}

// checkWithheld asks for a wheel as somebody does who has an old page.
func (f Farm) checkWithheld(t testing.TB, base string, w store.WheelRow) {
	t.Helper()
	for _, file := range []string{w.Filename, w.Filename + ".metadata", w.Filename + ".build.json"} {
		resp, err := http.Get(base + url.PathEscape(file))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s is withheld, and is sent: %s", file, resp.Status)
		}
	}
}

// links reads the files of an HTML page: name → "sha256 metadata-sha256".
func links(t testing.TB, base string) map[string]string {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(string(get(t, base, "text/html"))))
	if err != nil {
		t.Fatalf("%s as HTML: %v", base, err)
	}
	out := map[string]string{}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode || n.Data != "a" {
			continue
		}
		attr := map[string]string{}
		for _, a := range n.Attr {
			attr[a.Key] = a.Val
		}
		u, err := url.Parse(attr["href"])
		if err != nil || n.FirstChild == nil {
			t.Errorf("%s: bad link %v", base, attr)
			continue
		}
		out[n.FirstChild.Data] = strings.TrimPrefix(u.Fragment, "sha256=") + " " + strings.TrimPrefix(attr["data-core-metadata"], "sha256=")
	}
	return out
}

func (f Farm) checkRoot(t testing.TB, names []string) {
	t.Helper()
	var root jsonPage
	if err := json.Unmarshal(get(t, f.URL+"/simple/", "application/vnd.pypi.simple.v1+json"), &root); err != nil {
		t.Errorf("the root index as JSON: %v", err)
	}
	var got []string
	for _, p := range root.Projects {
		got = append(got, p.Name)
	}
	if diff := cmp.Diff(names, got); diff != "" {
		t.Errorf("the root index (-rows +page):\n%s", diff)
	}
}

func get(t testing.TB, url, accept string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("GET %s: %s, %v", url, resp.Status, err)
	}
	return body
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
