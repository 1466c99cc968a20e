package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/cli"
)

type auditAnswer struct {
	Schema                          int
	Agree, Full                     bool
	Packages, Files, Young, Pending int
	Findings                        []struct {
		Kind, Subject, Detail string
		Repaired              bool
	}
}

// TestAudit goes from all agree over a finding to a repair, beside a master.
func TestAudit(t *testing.T) {
	t.Parallel()
	f := newOpsFarm(t)
	f.built("demo", "1.0", "a log")
	f.built("other", "1.0", "")
	f.check()
	f.awaitAttended()
	if got := f.done("audit", "--full"); got != "2 packages, 3 files in the depot: all agree\n" {
		t.Errorf("said %q", got)
	}
	f.must(os.Remove(f.inSite("demo/index.html")))
	f.must(os.WriteFile(f.inSite("stray"), nil, 0o644))
	want := "site-missing demo/index.html: the site has no such file\nsite-stray stray: no row asked for it\n" +
		"2 packages, 3 files in the depot: 2 findings\n"
	code, out, stderr := f.command("audit")
	if diff := cmp.Diff(sortedLines(want), sortedLines(out)); code != cli.ExitFailed || diff != "" || stderr != "" {
		t.Errorf("exit status %d, stderr %q (-want +got):\n%s", code, stderr, diff)
	}
	got := answer[auditAnswer](f, "audit", "--repair")
	if !got.Agree || got.Schema != 1 || got.Full || got.Packages != 2 || got.Files != 3 || len(got.Findings) != 2 || !got.Findings[0].Repaired {
		t.Errorf("repair: %+v", got)
	}
	f.check()
	if got := answer[auditAnswer](f, "audit", "--full"); !got.Agree || !got.Full || len(got.Findings) != 0 {
		t.Errorf("after it: %+v", got)
	}
}

func sortedLines(s string) map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(s) {
		out[line] = true
	}
	return out
}

// TestAuditSaysWhatIsLost: the exit status stays 1, and nothing is hidden.
func TestAuditSaysWhatIsLost(t *testing.T) {
	t.Parallel()
	f := newOpsFarm(t)
	f.built("demo", "1.0", "")
	f.check()
	page, err := f.Store.Page(t.Context(), "demo")
	f.must(err)
	f.end()
	f.must(f.Depot.Remove(page.Wheels[0].SHA256))
	// First the depot alone: the copy on the site is good.
	got := answer[auditAnswer](f, "audit", "--repair")
	if !got.Agree || len(got.Findings) != 1 || got.Findings[0].Kind != "file-missing" || !got.Findings[0].Repaired {
		t.Errorf("with a copy on the site: %+v", got)
	}
	f.must(f.Depot.Remove(page.Wheels[0].SHA256))
	f.must(os.RemoveAll(f.inSite("demo")))
	code, out, stderr := f.command("audit", "--repair")
	if code != cli.ExitFailed || !strings.Contains(out, "it is lost") || !strings.Contains(stderr, "demo-1.0-py3-none-any.whl") {
		t.Errorf("without: exit status %d, %q, %q", code, out, stderr)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"audit", "--depot-dir", f.dir + "/nowhere"}, cli.ExitFailed, "name the master's with --depot-dir"},
		{[]string{"audit", "demo"}, cli.ExitUsage, "use: master audit"},
	} {
		code, out, stderr := f.command(c.args...)
		if code != c.code || !strings.Contains(stderr, c.want) || out != "" {
			t.Errorf("master %q: exit status %d, %q, %q; want %d and %q", c.args, code, out, stderr, c.code, c.want)
		}
	}
	if _, err := os.Stat(f.dir + "/nowhere"); err == nil {
		t.Error("an audit made a folder")
	}
}
