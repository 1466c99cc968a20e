package deploytest

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"pinwheel/internal/pgtest"
)

const rules = "../../deploy/prometheus/pinwheel.rules.yml"

// testMetrics scrapes a farm before and after a build.
func testMetrics(t *testing.T, p programs) {
	h := newFarm(t, p, nil, nil, pgtest.New(t))
	must(t, h.env, p.master, "target", "add", h.py.Target().String())
	h.master = start(t, nil, h.env, p.master, "serve", "--listen", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")
	at := h.master.ready()
	fetch(t, at.Metrics+"/healthz", http.StatusOK)
	fetch(t, at.Metrics+"/readyz", http.StatusOK)
	fetch(t, at.Metrics+"/debug/pprof/heap", http.StatusOK)
	fetch(t, at.URL+"/metrics", http.StatusNotFound)
	fetch(t, at.URL+"/debug/pprof/", http.StatusNotFound)

	creds := write(t, h.dir, "pi-1.creds", must(t, h.env, p.master, "enroll", "pi-1"))
	h.slave = start(t, nil, environment(h.dir), p.slave, "run", "--nats-url", at.NATS, "--creds", creds,
		"--state-dir", filepath.Join(h.dir, "slave"), "--python", h.py.Path)
	h.add("1.0")
	h.built("1.0")
	eventually(t, "the page of the wheel", func() bool { return code(t, at.URL+"/simple/"+project+"/") == http.StatusOK })

	text := told(t, at.Metrics+"/metrics", []string{
		`pinwheel_reports_total{cause="",outcome="built"} 1`, `pinwheel_claims_total{result="leased"} 1`, "pinwheel_database_up 1", "pinwheel_nats_up 1",
		`pinwheel_queue_jobs{priority="backlog",target="` + h.py.Target().String() + `"} 0`, `pinwheel_slaves{state="idle"} 1`, `pinwheel_slave_seen_timestamp_seconds{slave="pi-1"}`,
		`pinwheel_slave_request_duration_seconds_count{request="report",result="ok"}`, `pinwheel_http_request_duration_seconds_count{code="2xx",handler="/simple/{project}/"}`,
		`pinwheel_http_request_duration_seconds_count{code="2xx",handler="/upload/"}`, `pinwheel_sql_statement_duration_seconds_count{statement="select"}`, "pinwheel_publish_stale_pages 0",
	})
	lint(t, text)
	cardinality(t, text)
	alertsKnow(t, text)
	h.slave.stop()
	h.master.stop()
}

// told waits until the page has all that is wanted: some of it is counted in the
// background.
func told(t *testing.T, url string, want []string) (text string) {
	t.Helper()
	late := time.After(patience)
	for {
		text = fetch(t, url, http.StatusOK)
		missing := slices.DeleteFunc(slices.Clone(want), func(w string) bool { return strings.Contains(text, "\n"+w) })
		if len(missing) == 0 {
			return text
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-late:
			t.Fatalf("not on the page within %v: %q\n%s", patience, missing, text)
		}
	}
}

func code(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func fetch(t *testing.T, url string, code int) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != code {
		t.Errorf("%s: %s, want %d (%v)\n%s", url, resp.Status, code, err, text)
	}
	return string(text)
}

// lint holds names, types and units to Prometheus's rules.
func lint(t *testing.T, text string) {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "pinwheel_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// cardinality wants few series of one name: what a farm of three targets and hundreds
// of slaves multiplies must be small for one of each.
func cardinality(t *testing.T, text string) {
	t.Helper()
	series := map[string]int{}
	for line := range strings.Lines(text) {
		if name, _, ok := strings.Cut(line, "{"); ok && strings.HasPrefix(name, "pinwheel_") {
			series[name]++
		}
	}
	if len(series) < 15 {
		t.Errorf("only %d names have labels: %v", len(series), series)
	}
	for name, n := range series {
		if n > 250 {
			t.Errorf("%s has %d series", name, n)
		}
		if strings.HasPrefix(name, "pinwheel_slave_") && !strings.Contains(name, "request_duration") && n != 1 {
			t.Errorf("%s has %d series for one slave", name, n)
		}
	}
}

var aMetric = regexp.MustCompile(`\bpinwheel_[a-z0-9_]+`)

// alertsKnow wants no alert to ask for a figure that there is not: it would never be
// raised.
func alertsKnow(t *testing.T, text string) {
	t.Helper()
	b, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	sometimes := map[string]bool{ // where there is a sensor, a certificate, a changelog
		"pinwheel_slave_temperature_celsius": true, "pinwheel_certificate_expires_timestamp_seconds": true, "pinwheel_ingest_answered_timestamp_seconds": true,
	}
	found := 0
	for line := range strings.Lines(string(b)) {
		if !strings.Contains(line, "expr:") {
			continue
		}
		for _, name := range aMetric.FindAllString(line, -1) {
			found++
			if !sometimes[name] && !strings.Contains(text, "\n"+name+"{") && !strings.Contains(text, "\n"+name+" ") {
				t.Errorf("an alert asks for %s, which the farm does not tell", name)
			}
		}
	}
	if found < 15 {
		t.Errorf("only %d figures are asked for by alerts", found)
	}
}

// TestAlerts lets Prometheus's own program judge the rules, and plays troubles to them.
func TestAlerts(t *testing.T) {
	t.Parallel()
	promtool := findPromtool(t)
	for _, args := range [][]string{{"check", "rules", rules}, {"test", "rules", strings.Replace(rules, ".yml", ".test.yml", 1)}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// findPromtool takes the one of the PATH, else that of Debian's package, unpacked for
// this test only: installed, it would bring a service with it.
func findPromtool(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("promtool"); err == nil {
		return path
	}
	dir := t.TempDir()
	get := exec.Command("sh", "-ec", "apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb .")
	get.Dir = dir
	if out, err := get.CombinedOutput(); err != nil {
		t.Skipf("there is no promtool here, nor a Debian's package prometheus to take it from: %v\n%s", err, out)
	}
	return filepath.Join(dir, "usr/bin/promtool")
}
