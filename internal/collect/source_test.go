package collect

import (
	"strings"
	"testing"

	"pinwheel/internal/farm"
)

// TestAnotherSdist: what was built from a file that the upstream did not tell us of
// does not count, whatever came of it, and is no word against the package.
func TestAnotherSdist(t *testing.T) {
	t.Parallel()
	ours, other := strings.Repeat("a", 64), strings.Repeat("b", 64)
	for name, c := range map[string]struct {
		took, told farm.Sdist
		fails      bool
		state      farm.State
		cause      farm.Cause
	}{
		"the same":               {farm.Sdist{Filename: "demo-1.0.tar.gz", SHA256: ours}, farm.Sdist{SHA256: ours}, false, farm.Built, ""},
		"another":                {farm.Sdist{Filename: "demo-1.0.tar.gz", SHA256: other}, farm.Sdist{SHA256: ours}, false, farm.Queued, ""},
		"another, and it failed": {farm.Sdist{Filename: "demo-1.0.tar.gz", SHA256: other}, farm.Sdist{SHA256: ours}, true, farm.Queued, ""},
		"another format":         {farm.Sdist{Filename: "demo-1.0.zip", SHA256: other}, farm.Sdist{SHA256: ours}, false, farm.Built, ""},
		"not told":               {farm.Sdist{}, farm.Sdist{SHA256: ours}, false, farm.Built, ""},
		"not known":              {farm.Sdist{Filename: "demo-1.0.tar.gz", SHA256: other}, farm.Sdist{}, false, farm.Built, ""},
		"the same, and it fails": {farm.Sdist{Filename: "demo-1.0.tar.gz", SHA256: ours}, farm.Sdist{SHA256: ours}, true, farm.Failed, farm.MissingHeader},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Queue("demo", target())
			w.Exec("update releases set sdist_sha256 = $1", c.told.SHA256)
			l := w.claim("a", "1")
			file, content := makeWheel(t, "demo", "1.0", "")
			r := built(l, file, []byte("log"))
			if c.fails {
				r = failed(l, farm.Failure{Cause: farm.MissingHeader, Detail: "ffi.h"}, []byte("log"))
			}
			r.Record.Sdist = c.took
			if reply := w.bring("a", r, content, []byte("log")); !reply.Accepted {
				t.Errorf("the slave hears %+v", reply)
			}
			w.wantState(c.state, c.cause)
			if c.state == farm.Queued {
				w.wantNoWheel()
				want := "queued demo upstream-fault built from another demo-1.0.tar.gz: SHA-256 bbbbbbbbbbbb…, the upstream told us aaaaaaaaaaaa…"
				if len(w.events) != 1 || w.events[0] != want {
					t.Errorf("events %q, want %q", w.events, want)
				}
			}
		})
	}
}
