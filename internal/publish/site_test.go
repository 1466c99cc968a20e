package publish

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"pinwheel/internal/farm"
)

// tree reads a whole site: path → content.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, dir+"/")] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// link is an <a> of a page.
type link map[string]string

// readPage reads a page, or what its compressed copy holds.
func readPage(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil && strings.HasSuffix(path, gzipSuffix) {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(b)); err == nil {
			b, err = io.ReadAll(z)
		}
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return b
}

func readHTML(t testing.TB, path string) []link {
	t.Helper()
	doc, err := html.Parse(bytes.NewReader(readPage(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	var out []link
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == "a" {
			l := link{"": n.FirstChild.Data}
			for _, a := range n.Attr {
				l[a.Key] = a.Val
			}
			out = append(out, l)
		}
	}
	return out
}

func readJSON[T any](t testing.TB, path string) (out T) {
	t.Helper()
	if err := json.Unmarshal(readPage(t, path), &out); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return out
}

// rootOf has the names of the root index.
func rootOf(t testing.TB, site string) []string {
	t.Helper()
	return namesOf(t, filepath.Join(site, "simple", pageHTML))
}

func namesOf(t testing.TB, page string) []string {
	t.Helper()
	var fromHTML []string
	for _, l := range readHTML(t, page) {
		if l["href"] != l[""]+"/" {
			t.Errorf("root index: %v", l)
		}
		fromHTML = append(fromHTML, l[""])
	}
	return fromHTML
}

// checkSite verifies what must hold at every moment: what a page names is there,
// and is what the page says it is.
func checkSite(t testing.TB, site string) {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(site, "simple/*/index.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if strings.HasSuffix(strings.TrimSuffix(page, gzipSuffix), ".html") {
			checkHTML(t, page)
		} else {
			checkJSON(t, page)
		}
	}
	for _, name := range []string{pageHTML, pageHTML + gzipSuffix} {
		if _, err := os.Stat(filepath.Join(site, "simple", name)); err == nil {
			checkRoot(t, site, namesOf(t, filepath.Join(site, "simple", name)))
		}
	}
	for _, name := range []string{pageJSON, pageJSON + gzipSuffix} {
		if _, err := os.Stat(filepath.Join(site, "simple", name)); err != nil {
			continue
		}
		root := readJSON[struct{ Projects []struct{ Name string } }](t, filepath.Join(site, "simple", name))
		var names []string
		for _, p := range root.Projects {
			names = append(names, p.Name)
		}
		checkRoot(t, site, names)
	}
	checkTimes(t, site)
}

// checkTimes holds at every moment too: a copy that has the time of its page is
// one of it.
func checkTimes(t testing.TB, site string) (pages int) {
	t.Helper()
	for _, pattern := range []string{"simple/index.*.gz", "simple/*/index.*.gz"} {
		copies, err := filepath.Glob(filepath.Join(site, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range copies {
			page := strings.TrimSuffix(path, gzipSuffix)
			if !timeOf(t, page).Equal(timeOf(t, path)) {
				continue
			}
			pages++
			if diff := cmp.Diff(string(readPage(t, page)), string(readPage(t, path))); diff != "" {
				t.Errorf("%s (-page +copy):\n%s", path, diff)
			}
		}
	}
	return pages
}

// checkCopies verifies what must hold when nothing is stale: every page has its copy.
func checkCopies(t testing.TB, site string) {
	t.Helper()
	pages := 0
	for _, pattern := range []string{"simple/index.*", "simple/*/index.*"} {
		found, err := filepath.Glob(filepath.Join(site, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			if !strings.HasSuffix(path, gzipSuffix) {
				pages++
			}
		}
	}
	if n := checkTimes(t, site); n != pages || n == 0 {
		t.Errorf("%d of %d pages have a copy", n, pages)
	}
}

func timeOf(t testing.TB, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

func checkRoot(t testing.TB, site string, names []string) {
	t.Helper()
	if !slices.IsSorted(names) {
		t.Errorf("root index is not in order: %v", names)
	}
	for _, n := range names {
		for _, page := range []string{"index.html", "index.json"} {
			if _, err := os.Stat(filepath.Join(site, "simple", n, page)); err != nil {
				t.Errorf("root index names %s: %v", n, err)
			}
		}
	}
}

func checkHTML(t testing.TB, page string) {
	t.Helper()
	for _, l := range readHTML(t, page) {
		if _, old := l["data-dist-info-metadata"]; old {
			t.Errorf("%s: has data-dist-info-metadata", page)
		}
		_, sum, _ := strings.Cut(l["href"], "#sha256=")
		checkFile(t, page, l[""], sum)
		checkFile(t, page, l[""]+".metadata", strings.TrimPrefix(l["data-core-metadata"], "sha256="))
	}
}

func checkJSON(t testing.TB, page string) {
	t.Helper()
	body := readJSON[map[string]any](t, page)
	for _, f := range body["files"].([]any) {
		file := f.(map[string]any)
		if slices.ContainsFunc(slices.Collect(maps.Keys(file)), func(k string) bool { return strings.Contains(k, "dist-info") }) {
			t.Errorf("%s: has a key of dist-info", page)
		}
		name := file["filename"].(string)
		size := checkFile(t, page, name, file["hashes"].(map[string]any)["sha256"].(string))
		if size != int64(file["size"].(float64)) {
			t.Errorf("%s: %s has %d bytes, not %v", page, name, size, file["size"])
		}
		checkFile(t, page, name+".metadata", file["core-metadata"].(map[string]any)["sha256"].(string))
		path, err := url.PathUnescape(file["_build-record"].(string))
		if err != nil {
			t.Error(err)
		}
		record := readJSON[farm.BuildRecord](t, filepath.Join(filepath.Dir(page), path))
		if record.Wheel.Name != name || record.Wheel.SHA256 != file["hashes"].(map[string]any)["sha256"] || record.Wheel.Size != size || record.Slave == "" {
			t.Errorf("%s: the build record of %s is of %+v", page, name, record.Wheel)
		}
	}
}

func checkFile(t testing.TB, page, name, sum string) int64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(filepath.Dir(page), name))
	if err != nil {
		t.Errorf("%s names a file that is not there: %v", page, err)
	} else if hexSum(b) != sum {
		t.Errorf("%s: %s has SHA-256 %s, not %s", page, name, hexSum(b), sum)
	}
	return int64(len(b))
}
