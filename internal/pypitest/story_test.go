package pypitest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/pypitest"
)

// facts is what the page of a project says, in words: its status, versions, and files with their marks.
func facts(t *testing.T, s *pypitest.Server, name string) string {
	t.Helper()
	status, _, body := get(t, s.URL()+name+"/", "application/vnd.pypi.simple.v1+json")
	if status != 200 {
		return fmt.Sprint(status)
	}
	var p struct {
		Meta     map[string]any
		Versions []string
		Files    []struct {
			Filename string
			Yanked   any
			Requires *string `json:"requires-python"`
		}
		Status map[string]string `json:"project-status"`
	}
	must(t, json.Unmarshal([]byte(body), &p))
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s %v", p.Status["status"], p.Status["reason"], p.Versions)
	for _, f := range p.Files {
		fmt.Fprintf(&b, " %s", f.Filename)
		if f.Yanked != false {
			fmt.Fprintf(&b, "(%v)", f.Yanked)
		}
		if f.Requires != nil {
			fmt.Fprintf(&b, "{%s}", *f.Requires)
		}
	}
	if got := int64(p.Meta["_last-serial"].(float64)); got != s.Serial(name) {
		t.Errorf("serial %d on the page, want %d", got, s.Serial(name))
	}
	return b.String()
}

// stories has every kind of change: what is told, and what the page shows then.
func storyTable() []struct{ name, script, events, page string } {
	const one = "release demo 1.0\n"
	const oneTold = "demo: create | demo 1.0: new release | demo 1.0: add source file demo-1.0.tar.gz | "
	return []struct{ name, script, events, page string }{
		{"create", "create demo", "demo: create", "active []"},
		{"release", one, oneTold, "active [1.0] demo-1.0.tar.gz"},
		{"sdist after its wheel", "release demo 1.0 cp311-cp311-linux_armv7l\nrelease demo 1.0 .tar.gz",
			"demo: create | demo 1.0: new release | demo 1.0: add cp311 file demo-1.0-cp311-cp311-linux_armv7l.whl | " +
				"demo 1.0: add source file demo-1.0.tar.gz", "active [1.0] demo-1.0-cp311-cp311-linux_armv7l.whl demo-1.0.tar.gz"},
		{"the same once more", one + one, oneTold, "active [1.0] demo-1.0.tar.gz"},
		{"no files", "create demo\nempty demo 1.0", "demo: create | demo 1.0: new release", "active []"},
		{"a file of any kind", "file demo 1.0 demo-1.0-py2.7.egg\nfile demo 1.0 demo-1.0.win32.exe",
			"demo: create | demo 1.0: new release | demo 1.0: add 2.7 file demo-1.0-py2.7.egg | demo 1.0: add any file demo-1.0.win32.exe",
			"active [1.0] demo-1.0-py2.7.egg demo-1.0.win32.exe"},
		{"yank", one + "yank demo 1.0 it bites", oneTold + "demo 1.0: yank release", "active [1.0] demo-1.0.tar.gz(it bites)"},
		{"yank without a reason", one + "yank demo 1.0", oneTold + "demo 1.0: yank release", "active [1.0] demo-1.0.tar.gz(true)"},
		{"unyank", one + "yank demo 1.0 it bites\nunyank demo 1.0", oneTold + "demo 1.0: yank release | demo 1.0: unyank release",
			"active [1.0] demo-1.0.tar.gz"},
		{"remove a file", one + "remove-file demo demo-1.0.tar.gz", oneTold + "demo 1.0: remove file demo-1.0.tar.gz", "active []"},
		{"remove a release", one + "remove demo 1.0", oneTold + "demo 1.0: remove release", "active []"},
		{"remove a project", one + "remove demo", oneTold + "demo: remove project", "404"},
		{"again", one + "remove demo\ncreate Demo\nrelease Demo 2 .zip", oneTold + "demo: remove project | Demo: create | " +
			"Demo 2: new release | Demo 2: add source file demo-2.zip", "active [2] demo-2.zip"},
		{"rename", one + "rename demo DEMO", oneTold + "DEMO: rename from demo", "active [1.0] demo-1.0.tar.gz"},
		{"another spelling", one + "release Demo 2", oneTold + "Demo 2: new release | Demo 2: add source file demo-2.tar.gz",
			"active [1.0 2] demo-1.0.tar.gz demo-2.tar.gz"},
		{"quarantine", one + "quarantine demo :bad", oneTold + "demo: project quarantined", "quarantined:bad []"},
		{"cleared", one + "quarantine demo :bad\nclear demo", oneTold + "demo: project quarantined | demo: project quarantine cleared",
			"active [1.0] demo-1.0.tar.gz"},
		{"release in quarantine", one + "quarantine-release demo 1.0", oneTold + "demo 1.0: release quarantined", "active []"},
		{"release cleared", one + "quarantine-release demo 1.0\nclear demo 1.0",
			oneTold + "demo 1.0: release quarantined | demo 1.0: release quarantine cleared", "active [1.0] demo-1.0.tar.gz"},
		{"archived", one + "status demo archived :done", oneTold, "archived:done [1.0] demo-1.0.tar.gz"},
		{"deprecated", one + "status demo deprecated", oneTold, "deprecated [1.0] demo-1.0.tar.gz"},
		{"versions as written", "release demo 1.0.0\nrelease demo 1.0 .zip\nrelease demo 2.0-beta py3-none-any\nrelease demo dev-r12\nrelease demo 1!1",
			"", "active [1.0.0 1.0 2.0-beta dev-r12 1!1] demo-1.0.0.tar.gz demo-1.0.zip demo-2.0b0-py3-none-any.whl demo-dev-r12.tar.gz demo-1!1.tar.gz"},
		{"any requires-python", "release demo 1 python=>=3.7,<4\nrelease demo 2\npython demo 2 whatever <&> \"you\" like", "",
			`active [1 2] demo-1.tar.gz{>=3.7,<4} demo-2.tar.gz{whatever <&> "you" like}`},
		{"noise", one + "event demo - docupdate\nevent demo 1.0 add url http://x/", oneTold + "demo: docupdate | demo 1.0: add url http://x/",
			"active [1.0] demo-1.0.tar.gz"},
	}
}

func TestStories(t *testing.T) {
	t.Parallel()
	for _, c := range storyTable() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := pypitest.New(t)
			must(t, s.Tell(c.script))
			if got := strings.Join(told(s.Events()), " | "); c.events != "" && got != strings.TrimSuffix(c.events, " | ") {
				t.Errorf("told %s\nwant %s", got, c.events)
			}
			if got := facts(t, s, "demo"); got != c.page {
				t.Errorf("the page shows %s\nwant           %s", got, c.page)
			}
		})
	}
}

// TestState looks at everything once.
func TestState(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	must(t, s.Tell(`
release De.Mo 1.0 python=>=3
release De.Mo dev-r12
release De.Mo 1.0.0 py3-none-any
release De.Mo 0.9
yank de-mo 1.0 why not
quarantine de-mo bad
create empty
`))
	got := s.State()
	p := got.Projects["de-mo"]
	if got.Serial != s.Serial("") || len(got.Projects) != 2 || len(got.Projects["empty"].Releases) != 0 || p.Serial != s.Serial("de_mo") {
		t.Errorf("state %+v", got)
	}
	for i := range p.Releases {
		for j := range p.Releases[i].Files {
			f := &p.Releases[i].Files[j]
			f.SHA256, f.Uploaded = f.SHA256[:0], time.Time{}
		}
	}
	p.Serial = 0
	file := func(name, raw string, sdist bool) pypitest.FileState {
		return pypitest.FileState{Filename: name, Raw: raw, Sdist: sdist, Wheel: !sdist, Size: len("hollow \n") + len(name)}
	}
	first := file("de_mo-1.0.tar.gz", "1.0", true)
	first.RequiresPython, first.Yanked, first.YankReason = ">=3", true, "why not"
	want := pypitest.ProjectState{Name: "de-mo", Display: "De.Mo", Status: "quarantined", Reason: "bad", Releases: []pypitest.ReleaseState{
		{Version: "0.9", Raw: []string{"0.9"}, Files: []pypitest.FileState{file("de_mo-0.9.tar.gz", "0.9", true)}},
		{Version: "1.0", Raw: []string{"1.0", "1.0.0"}, Files: []pypitest.FileState{file("de_mo-1.0.0-py3-none-any.whl", "1.0.0", false), first}},
		{Version: "dev-r12", Legacy: true, Raw: []string{"dev-r12"}, Files: []pypitest.FileState{file("de_mo-dev-r12.tar.gz", "dev-r12", true)}},
	}}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if p.Releases[1].Yanked() || !(pypitest.ReleaseState{Files: []pypitest.FileState{first}}).Yanked() {
		t.Error("a release is yanked when all its files are")
	}
}

// TestPipInstallsAStory: real pip sees yanks, quarantine and statuses as the pages mean them.
func TestPipInstallsAStory(t *testing.T) {
	t.Parallel()
	const wheel = "sdist: none\nwheel: py3-none-any\n" // pip would build an sdist, even to download it
	s := pypitest.New(t, "-- tale==1.0 --\n"+wheel+"-- tale==1.1 --\n"+wheel+"-- tale==2.0 --\nrequires-python: <3\n"+wheel)
	download := func() string {
		out, _ := s.Pip(t, "download", "--no-deps", "-d", t.TempDir(), "tale")
		for line := range strings.Lines(out) {
			if strings.Contains(line, "Downloading") || strings.HasPrefix(line, "ERROR: No matching") {
				return line
			}
		}
		return out
	}
	for _, c := range []struct{ script, says string }{
		{"", "tale-1.1-py3-none-any.whl"},
		{"yank tale 1.1 bad", "tale-1.0-py3-none-any.whl"},
		{"unyank tale 1.1\nstatus tale archived", "tale-1.1-py3-none-any.whl"},
		{"lack json", "tale-1.1-py3-none-any.whl"},
		{"quarantine tale", "No matching distribution"},
		{"clear tale\nhave json", "tale-1.1-py3-none-any.whl"},
		{"remove-file tale tale-1.1-py3-none-any.whl", "tale-1.0-py3-none-any.whl"},
	} {
		must(t, s.Tell(c.script))
		if got := download(); !strings.Contains(got, c.says) {
			t.Errorf("after %q pip says %q, want %q", c.script, got, c.says)
		}
	}
}

// TestWrongScripts gets a word about each line that cannot be done, and a change that fails tells nothing.
func TestWrongScripts(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	must(t, s.Tell("release demo 1.0\nquarantine demo"))
	before := s.Events()
	for script, says := range map[string]string{
		"# ok\n\ndance demo": `line 3, "dance demo": unknown command`, "create": "0 words, want 1", "create demo": "already",
		"create a/b": "not a valid project name", "release demo a/b": "no file could be named", "release a/b 1": "not a valid",
		"many demo x": `"x" is no number`, "empty demo 1.0": "already", "empty nobody 1.0": "no such project",
		"file demo 1.0 demo-1.0.tar.gz": "already", "file demo 1.0 ../x": "not a name", "yank demo 2": "no such release",
		"remove demo 2": "no such release", "remove-file demo x": "no such file", "rename demo domo": "another project",
		"clear nobody": "no such project", "status demo archived": "in quarantine", "status demo retired": "want active",
		"python demo 2 >=3": "no such release", "quarantine-release demo 2": "no such release", "clear demo 2": "no such release",
		"break / nicely": "unknown trouble", "break / status status=x": "status=x", "break / status colour=red": "unknown setting",
		"lack patience": "unknown feature", "stale demo -1": "is no number",
	} {
		if err := s.Tell(script); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", script, err, says)
		}
	}
	if diff := cmp.Diff(told(before), told(s.Events())); diff != "" {
		t.Errorf("told all the same:\n%s", diff)
	}
	must(t, s.Tell("clear demo"))
	if err := s.Tell("clear demo"); err == nil {
		t.Error("what is not in quarantine cannot be cleared")
	}
}

// TestTellOverHTTP: another process can do what this one can.
func TestTellOverHTTP(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	s.Break("/", pypitest.Fault{Trouble: pypitest.Dropped})
	for _, c := range []struct {
		path, text string
		status     int
	}{
		{"tell", "release demo 1.0\n", 200},
		{"add", "-- real==1.0 --\n", 200},
		{"tell", "yank demo 2\n", 400},
		{"add", "-- real==1.0 --\n", 400},
	} {
		resp, err := http.Post(s.Base()+"/-/"+c.path, "text/plain", strings.NewReader(c.text))
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%s %q: status %d, want %d", c.path, c.text, resp.StatusCode, c.status)
		}
	}
	_, _, body := get(t, s.Base()+"/-/state", "")
	var state pypitest.State
	must(t, json.Unmarshal([]byte(body), &state))
	if diff := cmp.Diff(s.State(), state); diff != "" || len(state.Projects) != 2 {
		t.Errorf("-want +got:\n%s", diff)
	}
}
