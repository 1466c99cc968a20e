package builder

import (
	"bufio"
	"os"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/farm"
)

// wanted is what a builder must make of each sdist of the conformance set; a
// "|" means that the machine decides.
func wanted() map[string]string {
	return map[string]string{
		"sd_ok":          "built",
		"sd_hang":        "timeout",
		"sd_spin":        "timeout",
		"sd_output":      "log-limit",
		"sd_output_bin":  "built",
		"sd_prompt":      "prompt",
		"sd_network":     "network|timeout",
		"sd_memory":      "out-of-memory",
		"sd_procs":       "crashed",
		"sd_wrong_name":  "wrong-wheel",
		"sd_wrong_tag":   "wrong-wheel",
		"sd_no_wheel":    "build-backend",
		"sd_unraisable":  "build-backend",
		"sd_writes_home": "built",
		"sd_empty":       "metadata-invalid",
	}
}

func TestBadSdists(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/badsdists/manifest.tsv")
	must(t, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Scan() // the head
	for lines.Scan() {
		id := strings.Split(lines.Text(), "\t")[0]
		want, ok := wanted()[id]
		if !ok {
			t.Errorf("no expectation for %s", id)
		}
		for _, mode := range modes() {
			t.Run(id+"/"+string(mode), func(t *testing.T) {
				t.Parallel()
				badSdist(t, mode, id, want)
			})
		}
	}
	must(t, lines.Err())
}

func badSdist(t *testing.T, mode Mode, id, want string) {
	b := newBuild(t, mode, id, index(t, nil))
	b.Limits = farm.Limits{Timeout: 3 * time.Minute, LogLimit: 2 << 20, Memory: 512 << 20, Disk: 1 << 30, Processes: 100}
	if strings.Contains(want, "timeout") {
		b.Limits.Timeout = 5 * time.Second
	}
	r := build(t, b)
	got := string(r.Outcome)
	if r.Outcome == farm.OutcomeFailed {
		got = string(r.Failure.Cause)
	}
	if !strings.Contains("|"+want+"|", "|"+got+"|") {
		t.Errorf("%s, want %s: %+v\n%s", got, want, r.Failure, r.Excerpt)
	}
	if r.Failure.Cause == farm.Timeout && (r.Record.Seconds < 5 || r.Record.Seconds > 60) {
		t.Errorf("stopped after %.1f s, the limit is 5 s", r.Record.Seconds)
	}
}

// What one build leaves in its home is not there for the next.
func TestNextBuildSeesNothing(t *testing.T) {
	t.Parallel()
	look := sdist(t, "looks", `
home = os.path.expanduser("~")
found = [os.path.join(p, f) for top in (home, os.environ["TMPDIR"]) for p, _, fs in os.walk(top) for f in fs]
if any("marker" in f for f in found): raise RuntimeError("found %s" % found)
return wheel(d)
`)
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			b := newBuild(t, mode, "sd_writes_home", index(t, map[string][]byte{"looks": look}))
			if r := build(t, b); r.Outcome != farm.OutcomeBuilt {
				t.Fatalf("%+v", r)
			}
			b.Package = "looks"
			if r := build(t, b); r.Outcome != farm.OutcomeBuilt {
				t.Errorf("%+v", r)
			}
		})
	}
}
