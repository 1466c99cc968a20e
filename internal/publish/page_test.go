package publish

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/pep"
	"pinwheel/internal/store"
)

func row(t testing.TB, filename, version string) entry {
	t.Helper()
	v, err := pep.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	return entry{store.WheelRow{
		Filename: filename, Version: version, Size: 7, SHA256: strings.Repeat("a", 64), MetadataSHA256: strings.Repeat("b", 64),
		Published: time.Date(2026, 1, 2, 3, 4, 5, 678900, time.FixedZone("", 3600)),
	}, v}
}

// TestPages holds the bytes of both forms: they are the contract with every pip.
func TestPages(t *testing.T) {
	t.Parallel()
	plain := row(t, "foo-1.9-py3-none-any.whl", "1.9")
	yanked := row(t, "foo-1.10+local.1-cp311-cp311-linux_armv7l.whl", "1.10+local.1")
	yanked.RequiresPython, yanked.Yanked, yanked.YankReason = ">=3.7,<4", true, `"a" <b> & 'c'`
	silent := row(t, "foo-1!2.0-py3-none-any.whl", "1!2.0")
	silent.Yanked = true
	entries := []entry{plain, yanked, silent}
	body, err := projectJSON(store.Page{Package: "foo", Status: "active"}, entries)
	if err != nil {
		t.Fatal(err)
	}
	for file, got := range map[string][]byte{
		"project.html": projectHTML(store.Page{Package: "foo", Display: "Foo"}, entries), "project.json": body,
		"root.html": rootHTML().page([]string{"bar", "foo"}), "root.json": rootJSON().page([]string{"bar", "foo"}),
		"empty.html": rootHTML().page(nil), "empty.json": rootJSON().page(nil),
	} {
		want, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
		if strings.HasSuffix(file, ".json") && !json.Valid(got) {
			t.Errorf("%s is not JSON", file)
		}
	}
}

func TestHref(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"foo-1.0-py3-none-any.whl":     "foo-1.0-py3-none-any.whl",
		"foo-1.0+a.1-py3-none-any.whl": "foo-1.0%2Ba.1-py3-none-any.whl",
		"foo-1!1.0-py3-none-any.whl":   "foo-1%211.0-py3-none-any.whl",
	} {
		if got := href(name); got != want {
			t.Errorf("href(%s) = %s, want %s", name, got, want)
		}
	}
}
