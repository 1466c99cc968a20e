package publish

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRootAwaitsPages: a round of the root index that comes before the pages
// leaves the pace to the one that finds them; of a page that does not come, it
// waits for one round only.
func TestRootAwaitsPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publisher(func(c *Config) { c.RootEvery = time.Nanosecond })
	w.write(p)
	named := func(project string) bool {
		body, err := os.ReadFile(filepath.Join(p.simple(), "index.html"))
		w.must(err)
		return strings.Contains(string(body), ">"+project+"<")
	}
	w.build(artifact{project: "comes", version: "1.0"})
	before := p.pace.last
	w.must(p.writeStaleRoot(t.Context()))
	if !p.pace.last.Equal(before) {
		t.Error("the root index was written before the page that it is stale for")
	}
	w.must(p.writeStale(t.Context()))
	w.must(p.writeStaleRoot(t.Context()))
	if !named("comes") {
		t.Error("the root index does not name the page that has come")
	}

	w.build(artifact{project: "never-comes", version: "1.0"})
	w.build(artifact{project: "other", version: "1.0"})
	w.must(os.MkdirAll(filepath.Join(p.simple(), "other"), 0o755))
	w.must(os.WriteFile(filepath.Join(p.simple(), "other", "index.json"), nil, 0o644)) // its page is there, somehow
	for range 2 {
		if named("other") {
			t.Error("the root index did not wait")
		}
		w.must(p.writeStaleRoot(t.Context()))
	}
	if !named("other") || named("never-comes") {
		t.Error("the root index still waits for a page that does not come, or names it")
	}
}
