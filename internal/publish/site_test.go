package publish

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
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

func readHTML(t testing.TB, path string) []link {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := html.Parse(f)
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
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return out
}

// names of the root index, which must be the same in both forms.
func rootOf(t testing.TB, site string) []string {
	t.Helper()
	var fromHTML []string
	for _, l := range readHTML(t, filepath.Join(site, "simple/index.html")) {
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
		if strings.HasSuffix(page, ".html") {
			checkHTML(t, page)
		} else {
			checkJSON(t, page)
		}
	}
	if _, err := os.Stat(filepath.Join(site, "simple/index.html")); err == nil {
		checkRoot(t, site, rootOf(t, site))
	}
	if _, err := os.Stat(filepath.Join(site, "simple/index.json")); err == nil {
		root := readJSON[struct{ Projects []struct{ Name string } }](t, filepath.Join(site, "simple/index.json"))
		var names []string
		for _, p := range root.Projects {
			names = append(names, p.Name)
		}
		checkRoot(t, site, names)
	}
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
