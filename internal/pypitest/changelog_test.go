package pypitest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/pypitest"
)

// python runs a few lines with the standard library's own client of XML-RPC, and reads the JSON that it prints.
func python(t *testing.T, s *pypitest.Server, code string, result any) {
	t.Helper()
	const head = "import json, xmlrpc.client\np = xmlrpc.client.ServerProxy('%s/pypi')\n" +
		"def fault(f, *a):\n try: f(*a)\n except xmlrpc.client.Fault as e: return e.faultCode\n" +
		" except xmlrpc.client.ProtocolError as e: return e.errcode\n except Exception as e: return type(e).__name__\n"
	cmd := exec.CommandContext(t.Context(), pypitest.Python(t), "-c", fmt.Sprintf(head, s.Base())+code)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &errs)
	}
	if err := json.Unmarshal(out.Bytes(), result); err != nil {
		t.Fatalf("%v: %q", err, &out)
	}
}

// told are events without what differs from run to run of a changed story.
func told(events []pypitest.Event) []string {
	var lines []string
	for _, e := range events {
		lines = append(lines, strings.TrimSpace(e.Name+" "+e.Version)+": "+e.Action)
	}
	return lines
}

// TestPythonReadsTheChangelog holds every value against the reference client, from outside.
func TestPythonReadsTheChangelog(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	s.StartAt(1<<31 - 3) // some serials are beyond an int
	must(t, s.Tell("create De.Mo\nrelease De.Mo 1.0 .tar.gz py3-none-any\nevent nobody - add Owner Zoë <&> 😀\n"))
	type row = []any
	var got struct {
		Events []row
		Last   int64
		Names  map[string]int64
	}
	python(t, s, "print(json.dumps(dict(Events=p.changelog_since_serial(0), Last=p.changelog_last_serial(), Names=p.list_packages_with_serial())))", &got)
	var want []row
	for _, e := range s.Events() {
		var version any
		if e.Version != "" {
			version = e.Version
		}
		action := strings.NewReplacer("ë", "&#235;", "😀", "&#128512;").Replace(e.Action) // as PyPI writes it
		want = append(want, row{e.Name, version, float64(e.Time.Unix()), action, float64(e.Serial)})
	}
	if diff := cmp.Diff(want, got.Events); diff != "" || len(want) != 5 {
		t.Errorf("-told +read:\n%s", diff)
	}
	if last := s.Serial(""); got.Last != last || last <= 1<<31 || got.Names["De.Mo"] != s.Serial("de-mo") || len(got.Names) != 1 {
		t.Errorf("last serial %d, want %d; names %v", got.Last, last, got.Names)
	}
}

// TestPagesOfTheChangelog: strictly after the argument, in order, never more than a page.
func TestPagesOfTheChangelog(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	must(t, s.Tell("many demo 100\n"))
	s.ChangelogPage(7)
	var got struct{ Pages [][]int64 }
	python(t, s, `
pages, at = [], 0
while page := [e[4] for e in p.changelog_since_serial(at)]:
    pages.append(page)
    at = page[-1]
print(json.dumps(dict(Pages=pages)))`, &got)
	var want []int64
	back, gaps := 0, 0
	for i, e := range s.Events() {
		want = append(want, e.Serial)
		if i > 0 && e.Time.Before(s.Events()[i-1].Time.Add(-time.Minute)) {
			back++
		}
		if i > 0 && e.Serial > want[i-1]+1 {
			gaps++
		}
	}
	all := slices.Concat(got.Pages...)
	if !slices.Equal(all, want) || len(got.Pages) != 29 || len(got.Pages[0]) != 7 || !slices.IsSorted(all) {
		t.Errorf("%d pages with\n%v, want\n%v", len(got.Pages), all, want)
	}
	if back == 0 || gaps == 0 || len(want) != 201 {
		t.Errorf("%d events, %d go back in time, %d gaps", len(want), back, gaps)
	}
	if n := s.Requests("/pypi#changelog_since_serial"); n != 30 || s.Requests("/pypi") != 30 {
		t.Errorf("%d and %d calls counted", n, s.Requests("/pypi"))
	}
}

// TestChangelogFaults: what the reference client makes of each refusal.
func TestChangelogFaults(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	must(t, s.Create("demo"))
	ask := func(call string) (code any) {
		t.Helper()
		python(t, s, "print(json.dumps(fault("+call+")))", &code)
		return code
	}
	const last = "p.changelog_last_serial"
	for _, c := range []struct {
		name string
		set  func()
		call string
		want any
	}{
		{"sound", func() {}, last, nil},
		{"a method that is gone", func() {}, "p.search, {'name': 'demo'}", -32500.},
		{"no serial", func() {}, "p.changelog_since_serial", -32602.},
		{"no number", func() {}, "p.changelog_since_serial, 'x'", -32602.},
		{"over the limit", func() { s.ChangelogFault(pypitest.FaultRefused, 1) }, last, -32500.},
		{"over the limit once", func() {}, last, nil},
		{"another fault", func() { s.ChangelogFault(-32000, 1) }, last, -32000.},
		{"retired", func() { s.NoChangelog(true) }, last, 405.},
		{"there again", func() { s.NoChangelog(false) }, last, nil},
		{"one method only", func() { s.Break("/pypi#list", pypitest.Fault{Trouble: pypitest.Refused}) }, last, nil},
		{"that method", func() {}, "p.list_packages_with_serial", -32500.},
	} {
		c.set()
		if got := ask(c.call); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if status, body := post(t, s, "text/xml", "<methodCall>"); status != 200 || !strings.Contains(body, "<int>-32700</int>") {
		t.Errorf("half a call: %d %s", status, body)
	}
	if status, _ := post(t, s, "application/json", "{}"); status == 200 {
		t.Error("another content type is answered")
	}
}

func post(t *testing.T, s *pypitest.Server, kind, text string) (status int, body string) {
	t.Helper()
	resp, err := http.Post(s.Base()+"/pypi", kind, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(b)
}

// TestUnsoundChangelog: lies that are good XML, and one that is not.
func TestUnsoundChangelog(t *testing.T) {
	t.Parallel()
	const since = "/pypi#changelog_since_serial"
	for _, c := range []struct {
		name string
		set  func(*pypitest.Server)
		want func(true []int64) []int64 // serials that come for those after the tenth; nil: the client fails
	}{
		{"sound", func(*pypitest.Server) {}, func(s []int64) []int64 { return s[10:] }},
		{"behind", func(s *pypitest.Server) {
			s.Break(since, pypitest.Fault{Trouble: pypitest.Behind, By: s.Serial("") - s.Events()[14].Serial})
		}, func(s []int64) []int64 { return s[10:15] }},
		{"repeated", func(s *pypitest.Server) {
			s.ChangelogPage(4)
			s.Break(since, pypitest.Fault{Trouble: pypitest.Repeated})
		}, func(s []int64) []int64 { return s[6:10] }},
		{"jumped back", func(s *pypitest.Server) { s.JumpBack(s.Serial("") - s.Events()[11].Serial) },
			func(s []int64) []int64 { return s[10:12] }},
		{"control characters", func(s *pypitest.Server) {
			s.Announce(pypitest.Event{Name: "de\x01mo", Action: "create"})
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := pypitest.New(t)
			must(t, s.Tell("many demo 20\n"))
			var serials []int64
			for _, e := range s.Events() {
				serials = append(serials, e.Serial)
			}
			c.set(s)
			var got any
			python(t, s, fmt.Sprintf("print(json.dumps(fault(p.changelog_since_serial, %d) or [e[4] for e in p.changelog_since_serial(%d)]))",
				serials[9], serials[9]), &got)
			var want any = "ExpatError"
			if c.want != nil {
				var list []any
				for _, n := range c.want(serials) {
					list = append(list, float64(n))
				}
				want = list
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestShuffled: half twice, all there, in disorder.
func TestShuffled(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	must(t, s.Tell("many demo 20\nbreak /pypi# shuffled times=1\n"))
	var got, sound []int64
	python(t, s, "print(json.dumps([e[4] for e in p.changelog_since_serial(0)]))", &got)
	python(t, s, "print(json.dumps([e[4] for e in p.changelog_since_serial(0)]))", &sound)
	once := slices.Compact(slices.Sorted(slices.Values(got)))
	if slices.IsSorted(got) || !slices.Equal(once, sound) || len(got) != len(sound)+(len(sound)+1)/2 {
		t.Errorf("shuffled %v, sound %v", got, sound)
	}
}

// TestJumpBack: the serials that come next were there before.
func TestJumpBack(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	must(t, s.Tell("many demo 20\njump-back 10\nrelease demo 9 .zip\n"))
	last := s.Events()[len(s.Events())-1]
	if last.Serial != s.Serial("") || s.Serial("demo") != last.Serial || last.Action != "add source file demo-9.zip" {
		t.Errorf("last event %+v, serial %d", last, s.Serial(""))
	}
	must(t, s.Tell("jump-back 1000000\n"))
	if s.Serial("") != 0 || len(s.Events()) != 0 {
		t.Errorf("serial %d", s.Serial(""))
	}
}

// TestRestore: all is as it was, also the projects' own serials, which come again.
func TestRestore(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	if err := s.Tell("restore\n"); err == nil {
		t.Error("restored without a backup")
	}
	must(t, s.Tell("release demo 1.0\nbackup\n"))
	was, events := s.State(), len(s.Events())
	for range 2 {
		must(t, s.Tell("release demo 2.0\nremove demo 1.0\nrelease other 1.0\nrestore\n"))
		if diff := cmp.Diff(was, s.State()); diff != "" || len(s.Events()) != events {
			t.Errorf("%d events, want %d; (-want +got)\n%s", len(s.Events()), events, diff)
		}
	}
	must(t, s.Tell("release demo 3.0\n"))
	if demo := s.State().Projects["demo"]; len(demo.Releases) != 2 || demo.Serial != s.Serial("") {
		t.Errorf("%+v", demo)
	}
}

// TestClock: a farm that measures delays gives the index its own clock.
func TestClock(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	now := time.Date(2030, 5, 6, 7, 8, 9, 0, time.UTC)
	s.Clock(func() time.Time { return now })
	must(t, s.Tell("release demo 1.0\n"))
	if e := s.Events()[0]; !e.Time.Equal(now) {
		t.Errorf("event at %s", e.Time)
	}
	if at := s.State().Projects["demo"].Releases[0].Files[0].Uploaded; !at.Equal(now) {
		t.Errorf("uploaded at %s", at)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
