package bus

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
)

// protocolDoc is written by people but for what stands between its marks, which
// is made here from the types: `go test ./internal/bus -update`.
const protocolDoc = "../../docs/protocol.md"

var update = flag.Bool("update", false, "write what the code says into docs/protocol.md")

func TestProtocolDocument(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(protocolDoc)
	if err != nil {
		t.Fatal(err)
	}
	got := string(b)
	want := got
	for name, text := range map[string]string{
		"requests": requestTable(), "questions": questionTable(), "rights": rightsText(), "limits": limitTable(t), "times": timeTable(), "messages": messageText(t),
	} {
		want = replaceMarked(t, want, name, text)
	}
	if *update && want != got {
		if err := os.WriteFile(protocolDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(got, "\n"), strings.Split(want, "\n")); diff != "" {
		t.Errorf("docs/protocol.md is out of date; run `go test ./internal/bus -update` (-document +code):\n%s", diff)
	}
}

// replaceMarked puts text between the marks of that name.
func replaceMarked(t *testing.T, doc, name, text string) string {
	t.Helper()
	begin, end := "<!-- made from the code: "+name+" -->\n", "<!-- end of "+name+" -->\n"
	head, rest, ok := strings.Cut(doc, begin)
	_, tail, whole := strings.Cut(rest, end)
	if !ok || !whole {
		t.Fatalf("docs/protocol.md has no place for %q: want the lines %q and %q", name, begin, end)
	}
	return head + begin + "\n" + strings.TrimSpace(text) + "\n\n" + end + tail
}

// said is one message of the document: who says it where, and an example that
// is a real encode of one that passes the checks.
type said struct {
	example stamped
	where   string
}

func messages() []said {
	lease, target := "K7QGX5J4LZ2W3OVE6TNB5YADIM", farm.Target{ABI: "cp311", Platform: "linux_armv7l"}
	at := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	sum := strings.Repeat("5ab1", 16)
	file := farm.File{Name: "MarkupSafe-2.1.5-cp311-cp311-linux_armv7l.whl", SHA256: sum, Size: 26_211}
	return []said{
		{&Hello{Version: "1.0", Targets: []ServedTarget{{Target: target, Facts: farm.Facts{Python: "3.11.2", Glibc: "2.36", Codename: "bookworm"}}},
			Held: []string{}, Machine: "Raspberry Pi 4 Model B", OS: "Debian GNU/Linux 12 (bookworm)", Memory: 4 << 30,
			Packages: []string{"build-essential", "libffi-dev"},
			Broken:   []Broken{{Root: "/var/cache/pinwheel/roots/trixie-armhf", Why: "there is no such folder"}}}, "Said by a slave"},
		{&Welcome{HTTP: "http://farm.example:7070", Index: "http://farm.example:7070/simple/", Upstream: "https://index.example/simple/",
			Beat: 30 * time.Second, Lease: 90 * time.Second, Drop: []string{}, Now: at}, "The answer to Hello"},
		{&Next{Request: "P3JZ2QF7", Targets: []farm.Target{target}, Held: []string{}}, "Said by a slave"},
		{&NextReply{Lease: &farm.Lease{Token: lease, Job: 17, Build: 23, Package: "markupsafe", Version: "2.1.5", Target: target,
			Sdist:   farm.Sdist{Filename: "MarkupSafe-2.1.5.tar.gz", URL: "https://index.example/MarkupSafe-2.1.5.tar.gz", SHA256: sum, Size: 19_384},
			Release: at, Limits: farm.Limits{}.Fill(), Length: 90 * time.Second,
			Recipe: farm.Recipe{Env: map[string]string{"CFLAGS": "-O1"}, Jobs: 1, PipOptions: []string{"--no-build-isolation"}, From: []string{"markupsafe <3"}}}}, "The answer to Next"},
		{&Beat{Held: []string{lease}, Doing: "building markupsafe 2.1.5", Load: 1.5, Temperature: 61.2, MemoryFree: 3 << 30, DiskFree: 20 << 30,
			Machine: "Raspberry Pi 4 Model B", Throttled: []string{"under-voltage"}}, "Said by a slave"},
		{&BeatReply{Abort: []string{}, Now: at}, "The answer to Beat"},
		{&Report{Token: lease, Job: 17, Outcome: farm.OutcomeBuilt, Wheels: []farm.File{file},
			Log: farm.File{Name: "log", SHA256: sum, Size: 4_102},
			Record: farm.Record{Seconds: 21.5, PeakRSS: 96 << 20, Started: at, Ended: at.Add(21500 * time.Millisecond),
				Sandbox: "bwrap", PythonVer: "3.11.2", PipVer: "23.0.1", Compiler: "gcc 12.2.0", OS: "Debian GNU/Linux 12 (bookworm)",
				Env: map[string]string{"SOURCE_DATE_EPOCH": "1706890829"}, Imports: &farm.Imports{Seconds: 0.2, Modules: []string{"markupsafe"}, Findings: []farm.Finding{}}}}, "Said by a slave"},
		{&ReportReply{Need: []Need{{SHA256: sum, URL: "http://farm.example:7070/upload/" + sum, Token: "eyJsZWFzZSI…"}}}, "The answer to Report"},
		{&Control{Do: DoAbort, Token: lease}, "Said by the master, on `" + slaveSubject("NAME", kindControl) + "`"},
		{&LogChunk{Job: 17, Offset: 4_096, Data: []byte("running build_ext\n")}, "Said by a slave, on `" + slaveSubject("NAME", kindLog) + ".JOB`"},
		{&Event{Kind: "built", Package: "markupsafe", Version: "2.1.5", Target: target.String(), Slave: "pi-01", At: at}, "Said by the master, on `" + eventSubject("KIND") + "`"},
		{&Look{}, "Said by a monitor or an operator"},
		{exampleSnapshot(at), "The answer to Look"},
		{&LogAsk{Build: 23}, "Said by a monitor or an operator"},
		{&LogPart{Build: 23, Job: 17, Package: "markupsafe", Version: "2.1.5", Target: target.String(), Slave: "pi-01", Outcome: "built",
			Data: []byte("running build_ext\n")}, "The answer to LogAsk"},
		{&Steer{Do: SteerRequeue, Package: "markupsafe", Version: "2.1.5", Priority: farm.PriorityBacklog}, "Said by an operator"},
		{&Steered{Said: "1 job is queued again", Audit: 12}, "The answer to Steer"},
	}
}

func exampleSnapshot(at time.Time) *Snapshot {
	const target = "cp311-linux_armv7l"
	return &Snapshot{
		At: at, Version: "1.0", Packages: 1, Releases: 2, Wheels: 1, WheelBytes: 26_211,
		Targets: []TargetNow{{Target: target, Jobs: map[string]int64{"queued": 1, "leased": 1, "built": 1},
			Next: []QueuedNow{{Package: "lxml", Version: "5.2.1", Priority: farm.PriorityNew, Since: at}}}},
		Slaves: []SlaveNow{{Name: "pi-01", Machine: "Raspberry Pi 4 Model B", LastSeen: &at, Memory: 4 << 30,
			Pulse: farm.Pulse{Doing: "building markupsafe 2.1.5", Load: 1.5, Temperature: 61.2, MemoryFree: 3 << 30, DiskFree: 20 << 30}}},
		Builds: []BuildNow{{Build: 23, Job: 17, Package: "markupsafe", Version: "2.1.5", Target: target, Slave: "pi-01", Since: at, Deadline: at.Add(90 * time.Second)}},
		Failures: []FailureNow{{Cause: farm.MissingHeader, Detail: "ffi.h", Hint: "apt: libffi-dev", Jobs: 2, Week: 1,
			Package: "cffi", Version: "1.11.5", Target: target, Build: 21, At: at}},
		Pace:   Pace{Built: []int64{0, 1}, Failed: []int64{0, 0}, Lost: []int64{0, 0}, Span: 3600},
		Ingest: IngestNow{Source: "changelog", Serial: 29_000_000, Moved: &at, Asked: &at},
	}
}

// TestExamplesAreGood: what the document shows would be taken.
func TestExamplesAreGood(t *testing.T) {
	t.Parallel()
	for _, m := range messages() {
		if c, ok := m.example.(checked); ok && c.check() != nil {
			t.Errorf("the example of %T is refused: %v", m.example, c.check())
		}
	}
}

func requestTable() string {
	var b strings.Builder
	b.WriteString("| subject | question | answer | at most | the asker gives up after | one master works on |\n|---|---|---|---|---|---|\n")
	for _, r := range []struct {
		x                exchange
		question, answer string
	}{
		{exchangeHello(), "Hello", "Welcome"}, {exchangeNext(), "Next", "NextReply"},
		{exchangeBeat(), "Beat", "BeatReply"}, {exchangeReport(), "Report", "ReportReply"},
	} {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %d at once |\n", slaveSubject("NAME", r.x.kind),
			linked(r.question), linked(r.answer), bytesOf(int64(r.x.maxBytes)), r.x.within, r.x.parallel)
	}
	return b.String()
}

// questionTable is what people's programs may ask.
func questionTable() string {
	var b strings.Builder
	b.WriteString("| subject | question | answer | at most | the asker gives up after | one master works on |\n|---|---|---|---|---|---|\n")
	for _, r := range []struct {
		subject          string
		x                exchange
		question, answer string
	}{
		{askSubject("ROLE", "NAME", kindSnapshot), exchangeLook(), "Look", "Snapshot"},
		{askSubject("ROLE", "NAME", kindLog), exchangeLog(), "LogAsk", "LogPart"},
		{steerSubject("NAME"), exchangeSteer(), "Steer", "Steered"},
	} {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %d at once |\n", r.subject,
			linked(r.question), linked(r.answer), bytesOf(int64(r.x.maxBytes)), r.x.within, r.x.parallel)
	}
	return b.String()
}

func linked(typ string) string { return "[" + typ + "](#" + strings.ToLower(typ) + ")" }

// bytesOf is a size as people say it.
func bytesOf(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.size && n%u.size == 0 {
			return fmt.Sprint(n/u.size, " ", u.name)
		}
	}
	return fmt.Sprint(n, " bytes")
}

func rightsText() string {
	var b strings.Builder
	b.WriteString("| who | may say | but not | may hear |\n|---|---|---|---|\n")
	for _, role := range []farm.Role{farm.RoleSlave, farm.RoleMonitor, farm.RoleOperator, roleMaster} {
		p := permissions("NAME", role)
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", role, spans(p.Pub.Allow), spans(p.Pub.Deny), spans(p.Sub.Allow))
	}
	return b.String()
}

func spans(subjects []string) string {
	if len(subjects) == 0 {
		return ""
	}
	return "`" + strings.Join(subjects, "` `") + "`"
}

func timeTable() string {
	var b strings.Builder
	b.WriteString("| what | how long |\n|---|---|\n")
	for _, row := range []struct {
		what string
		long time.Duration
	}{
		{"a question for work waits at the master, at most", NextWait},
		{"each side asks whether the other still lives, every", PingEvery},
		{"a peer that answers none of that is left after", PingEvery * (MaxPings + 1)},
		{"one attempt to connect", dialWithin},
	} {
		fmt.Fprintf(&b, "| %s | %s |\n", row.what, row.long)
	}
	return b.String()
}

// limit finds a constant of check.go with its comment.
var limit = regexp.MustCompile(`(?m)^\tm?M?ax\w+ += ([0-9]+(?: << [0-9]+)?) +// (bytes of )?(.*)$`)

func limitTable(t *testing.T) string {
	t.Helper()
	rows := []string{
		"| what | at most |", "|---|---|",
		"| one message, whatever it is | " + bytesOf(MaxMessage) + " |",
		"| an order, an event, a piece of log as a message | " + bytesOf(maxControl) + ", " + bytesOf(maxEvent) + ", " + bytesOf(maxChunk) + " |",
	}
	source, err := os.ReadFile("check.go")
	if err != nil {
		t.Fatal(err)
	}
	found := limit.FindAllStringSubmatch(string(source), -1)
	if len(found) < 8 {
		t.Fatalf("%d limits found in check.go", len(found))
	}
	for _, m := range found {
		v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, m[1])
		if err != nil {
			t.Fatal(err)
		}
		n, _ := constant.Int64Val(v.Value)
		most := fmt.Sprint(n)
		if m[2] != "" {
			most = bytesOf(n)
		}
		rows = append(rows, "| "+m[3]+" | "+most+" |")
	}
	return strings.Join(rows, "\n")
}

func messageText(t *testing.T) string {
	t.Helper()
	d := newDescriber(t)
	var b strings.Builder
	for _, m := range messages() {
		typ := reflect.TypeOf(m.example).Elem()
		fmt.Fprintf(&b, "### %s\n\n*%s.* %s\n", typ.Name(), m.where, d.prose(typ.Name()))
		d.table(&b, typ)
		fmt.Fprintf(&b, "\n```json\n%s\n```\n\n", example(t, m.example))
	}
	for i := 0; i < len(d.parts); i++ { // a part may name further ones
		typ := d.parts[i]
		fmt.Fprintf(&b, "### %s\n\n*A part of messages.* %s\n", typ.Name(), d.prose(typ.Name()))
		d.table(&b, typ)
		b.WriteString("\n")
	}
	return b.String()
}

// example is a real encode, set in lines.
func example(t *testing.T, m stamped) string {
	t.Helper()
	data, err := encode(m)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
