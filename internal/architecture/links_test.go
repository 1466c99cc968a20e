package architecture

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	aLink    = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`) // [text](path#part), [text](#part)
	aHeading = regexp.MustCompile(`(?m)^#{1,6} +(.+?)\s*$`)
	aFence   = regexp.MustCompile("(?ms)^```.*?^```")
	noAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`) // what does not become a part of a heading's anchor
)

// TestLinksLeadSomewhere follows every link to its file and its heading. Other
// hosts are not asked: a test must not fail because the network does.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	forEach(t, aLink, func(doc string, m []string) {
		path := doc
		if m[1] != "" {
			path = filepath.Join(filepath.Dir(doc), m[1])
		}
		if strings.Contains(m[1], "://") {
			return
		}
		if _, err := os.Stat(filepath.Join(root, path)); err != nil {
			t.Errorf("%s links to %s, which does not exist", doc, m[1])
			return
		}
		if m[2] != "" && !anchors(read(t, path))[m[2]] {
			t.Errorf("%s links to %s%s, but there is no such heading", doc, m[1], m[2])
		}
	})
}

// anchors are the headings of a document as links name them.
func anchors(doc string) map[string]bool {
	all := map[string]bool{}
	for _, m := range aHeading.FindAllStringSubmatch(aFence.ReplaceAllString(doc, ""), -1) {
		plain := noAnchor.ReplaceAllString(strings.ToLower(m[1]), "")
		all["#"+strings.ReplaceAll(plain, " ", "-")] = true
	}
	return all
}

func TestAnchors(t *testing.T) {
	t.Parallel()
	got := anchors("# What survives what?\n\ntext\n## `make` and I/O, 2\n```sh\n# a comment\n```\n")
	for want := range map[string]bool{"#what-survives-what": true, "#make-and-io-2": true} {
		if !got[want] {
			t.Errorf("no %s in %v", want, got)
		}
	}
	if len(got) != 2 {
		t.Errorf("%v, want two", got)
	}
}
