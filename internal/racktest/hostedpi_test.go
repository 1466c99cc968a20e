package racktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	apiKey    = "key-1"
	apiSecret = "geheim"
	apiToken  = "token-1"
)

// hosting is a fake of the API of hosted Pis, as far as reading goes. What it is asked is
// kept; whoever would change something is refused, and seen.
type hosting struct {
	*httptest.Server
	t *testing.T

	mu      sync.Mutex
	servers map[string]map[string]any
	perPage int
	faults  map[string][]http.HandlerFunc // by path, each for one request
	asked   []string
}

func newHosting(t *testing.T) *hosting {
	t.Helper()
	h := &hosting{t: t, servers: map[string]map[string]any{}, perPage: 100, faults: map[string][]http.HandlerFunc{}}
	h.Server = httptest.NewServer(h)
	t.Cleanup(func() { h.CloseClientConnections(); h.Close() })
	return h
}

func (h *hosting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.asked = append(h.asked, r.Method+" "+r.URL.RequestURI())
	var fault http.HandlerFunc
	if list := h.faults[r.URL.Path]; len(list) > 0 {
		fault, h.faults[r.URL.Path] = list[0], list[1:]
	}
	h.mu.Unlock()
	if fault != nil {
		fault(w, r)
		return
	}
	switch {
	case r.URL.Path == "/login" && r.Method == http.MethodPost:
		h.login(w, r)
	case r.Method != http.MethodGet:
		h.t.Errorf("the inventory would change something: %s %s", r.Method, r.URL)
		w.WriteHeader(http.StatusMethodNotAllowed)
	case r.Header.Get("Authorization") != "Bearer "+apiToken:
		answer(w, http.StatusForbidden, map[string]any{"error": "Not authorised"})
	case r.URL.Path == "/beta/pi/servers":
		h.page(w, r)
	default:
		h.server(w, strings.TrimPrefix(r.URL.Path, "/beta/pi/servers/"))
	}
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // to whom left, nothing is to be said
}

func (h *hosting) login(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	if id != apiKey || secret != apiSecret || r.FormValue("grant_type") != "client_credentials" {
		answer(w, http.StatusUnauthorized, map[string]any{"error": "Invalid\nkey"})
		return
	}
	answer(w, http.StatusOK, map[string]any{"access_token": apiToken, "expires_in": 300})
}

// page answers with some of the servers, and says where there are more.
func (h *hosting) page(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	first, shown := 0, map[string]any{}
	_, _ = fmt.Sscanf(r.URL.Query().Get("from"), "%d", &first)
	for i := first; i < min(first+h.perPage, len(h.servers)); i++ {
		shown[fmt.Sprintf("pi-%02d", i)] = map[string]any{"model": 3, "memory": 1024, "cpu_speed": 1200}
	}
	if next := first + h.perPage; next < len(h.servers) {
		w.Header().Set("Link", fmt.Sprintf(`</beta/pi/servers>; rel="first", </beta/pi/servers?from=%d>; rel="next"`, next))
	}
	answer(w, http.StatusOK, map[string]any{"servers": shown})
}

func (h *hosting) server(w http.ResponseWriter, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.servers[name] == nil {
		answer(w, http.StatusNotFound, map[string]any{"error": "no such server"})
		return
	}
	answer(w, http.StatusOK, h.servers[name])
}

// live fills it with servers pi-00, pi-01 …
func (h *hosting) live(n int) {
	for i := range n {
		h.servers[fmt.Sprintf("pi-%02d", i)] = map[string]any{"model": 3, "model_full": "3B", "memory": 1024, "status": "live", "ssh_port": 5100 + i,
			"disk_size": 10, "ip": fmt.Sprintf("2a00:1098:8:%x::1", i+1), "location": "CLL"}
	}
}

// inventoryOf runs the dynamic inventory as ansible does.
func (h *hosting) inventoryOf(env ...string) (stdout, stderr string, code int) {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), "python3", "../../ansible/inventory/hostedpi.py", "--list")
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOSTEDPI_ID=" + apiKey, "HOSTEDPI_SECRET=" + apiSecret, "HOSTEDPI_TIMEOUT=20",
		"HOSTEDPI_AUTH=" + h.URL, "HOSTEDPI_API=" + h.URL + "/beta/pi/"}, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the exit code tells
	if strings.Contains(errs.String(), apiSecret) || strings.Contains(errs.String(), apiToken) || strings.Contains(errs.String(), "Traceback") {
		h.t.Errorf("it says a secret, or does not know what happened: %s", errs.String())
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// listed is what Ansible reads.
type listed struct {
	Meta struct {
		Hostvars map[string]struct {
			Host  string `json:"ansible_host"`
			Port  int    `json:"ansible_port"`
			Model string `json:"hostedpi_model"`
		} `json:"hostvars"`
	} `json:"_meta"`
	Slaves, Pi3 struct{ Hosts []string }
}

func (h *hosting) list(env ...string) (l listed, stderr string) {
	h.t.Helper()
	out, stderr, code := h.inventoryOf(env...)
	if code != 0 {
		h.t.Fatalf("exit status %d: %s", code, stderr)
	}
	if err := json.Unmarshal([]byte(out), &l); err != nil {
		h.t.Fatalf("%v in %s", err, out)
	}
	return l, stderr
}

func TestHostedPis(t *testing.T) {
	t.Parallel()
	h := newHosting(t)
	h.live(7)
	h.perPage = 3
	h.servers["pi-02"] = map[string]any{"status": "provisioning"} // as one that is being made
	delete(h.servers["pi-04"], "ip")
	h.faults["/beta/pi/servers/pi-03"] = []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }}
	h.faults["/beta/pi/servers/pi-05"] = []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusNotFound, map[string]any{"error": "no such server"}) // cancelled a moment ago
	}}
	l, stderr := h.list()
	if diff := cmp.Diff([]string{"pi-00", "pi-01", "pi-03", "pi-06"}, l.Slaves.Hosts); diff != "" {
		t.Error(diff)
	}
	for _, want := range []string{"pi-02 is left out: it is provisioning", "pi-04 is left out: the API tells no way to it by ipv6", "pi-05 is left out: it is gone"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in %s", want, stderr)
		}
	}
	if v := l.Meta.Hostvars["pi-06"]; v.Host != "2a00:1098:8:7::1" || v.Port != 22 || v.Model != "3B" {
		t.Errorf("pi-06: %+v", v)
	}
	l, _ = h.list("HOSTEDPI_VIA=ipv4")
	if v := l.Meta.Hostvars["pi-04"]; v.Host != "ssh.pi-04.hostedpi.com" || v.Port != 5104 {
		t.Errorf("by IPv4 pi-04 is %+v", v)
	}
	l, _ = h.list("HOSTEDPI_ONLY=pi-0[13], pi-06")
	if diff := cmp.Diff([]string{"pi-01", "pi-03", "pi-06"}, l.Slaves.Hosts); diff != "" {
		t.Error(diff)
	}
	pages := 0
	for _, a := range h.asked {
		if strings.HasPrefix(a, "GET /beta/pi/servers?from=") {
			pages++
		}
	}
	if pages != 6 { // two beyond the first, three times
		t.Errorf("%d further pages were asked for: %q", pages, h.asked)
	}
}

// TestHostedPisReadByAnsible: nothing is lost on the way into Ansible, beside the example.
func TestHostedPisReadByAnsible(t *testing.T) {
	t.Parallel()
	tools := os.Getenv("PINWHEEL_ANSIBLE")
	if tools == "" {
		t.Skip("PINWHEEL_ANSIBLE is not set: `make test-ansible` sets it")
	}
	h := newHosting(t)
	h.live(2)
	cmd := exec.CommandContext(t.Context(), tools+"/ansible-inventory", "-i", "../../ansible/inventory/example.yml", "-i", "../../ansible/inventory/hostedpi.py", "--graph")
	cmd.Env = append(os.Environ(), "HOSTEDPI_ID="+apiKey, "HOSTEDPI_SECRET="+apiSecret, "HOSTEDPI_AUTH="+h.URL, "HOSTEDPI_API="+h.URL+"/beta/pi", "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// Those of the example, and those of the API in the group of their model as well.
	for name, n := range map[string]int{"@slaves:": 1, "pi-00": 2, "pi-01": 2, "pi-02": 1, "@web:": 1, "@database:": 1} {
		if got := strings.Count(string(out), name); got != n {
			t.Errorf("%s stands there %d times, want %d:\n%s", name, got, n, out)
		}
	}
}

// TestHostedPisFail: whatever goes wrong is one line and no inventory.
func TestHostedPisFail(t *testing.T) {
	t.Parallel()
	servers, one := "/beta/pi/servers", "/beta/pi/servers/pi-00"
	says := func(code int, body string) []http.HandlerFunc {
		f := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code); fmt.Fprint(w, body) }
		return []http.HandlerFunc{f, f, f, f}
	}
	for name, c := range map[string]struct {
		path   string
		faults []http.HandlerFunc
		env    []string
		want   string
	}{
		"no key":           {env: []string{"HOSTEDPI_SECRET="}, want: "HOSTEDPI_ID and HOSTEDPI_SECRET are not both set"},
		"a wrong key":      {env: []string{"HOSTEDPI_ID=other"}, want: "401 Unauthorized: Invalid key"},
		"a wrong way":      {env: []string{"HOSTEDPI_VIA=carrier"}, want: "HOSTEDPI_VIA is ipv4 or ipv6"},
		"no pattern":       {env: []string{"HOSTEDPI_ONLY=, "}, want: "HOSTEDPI_ONLY names no Pi"},
		"none of the farm": {env: []string{"HOSTEDPI_ONLY=pi-*,spare-*"}, want: "HOSTEDPI_ONLY: the account has no Pi spare-*"},
		"a wrong time":     {env: []string{"HOSTEDPI_TIMEOUT=soon"}, want: "HOSTEDPI_TIMEOUT wants seconds"},
		"nobody there":     {env: []string{"HOSTEDPI_AUTH=http://127.0.0.1:1"}, want: "refused, 4 times"},
		"not authorised":   {path: servers, faults: says(403, `{"error": "no API access"}`), want: "403 Forbidden: no API access"},
		"down":             {path: servers, faults: says(503, "<html>"), want: "503 Service Unavailable, 4 times"},
		"a page of HTML":   {path: servers, faults: says(200, "<html>"), want: "the answer is not a JSON object"},
		"another form":     {path: servers, faults: says(200, `{"servers": "many"}`), want: "the answer has no servers"},
		"one is broken":    {path: one, faults: says(500, ""), want: "/servers/pi-00: 500 Internal Server Error, 4 times"},
		"cut off":          {path: one, faults: repeat(4, cutOff), want: "/servers/pi-00: "},
		"an endless book":  {path: servers, faults: repeat(9, endless), want: "its pages have no end"},
		"a page elsewhere": {path: servers, faults: repeat(1, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", `<http://127.0.0.2:1/beta/pi/servers>; rel=next`)
			answer(w, 200, map[string]any{"servers": map[string]any{}})
		}), want: "the next page is on another host"},
		"sent elsewhere": {path: servers, faults: repeat(1, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.2:1/", http.StatusFound)
		}), want: "302 Found"},
		"silence": {path: one, faults: repeat(4, silent), env: []string{"HOSTEDPI_TIMEOUT=0.2"}, want: "timed out, 4 times"},
		"a drip":  {path: one, faults: repeat(4, drip), env: []string{"HOSTEDPI_TIMEOUT=0.3"}, want: "timed out, 4 times"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHosting(t)
			h.live(2)
			h.faults[c.path] = c.faults
			out, stderr, code := h.inventoryOf(c.env...)
			if code != 1 || out != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, c.want) {
				t.Errorf("exit status %d, %q, %q; want 1, nothing, and one line with %q", code, out, stderr, c.want)
			}
		})
	}
}

func repeat(n int, f http.HandlerFunc) []http.HandlerFunc {
	var list []http.HandlerFunc
	for range n {
		list = append(list, f)
	}
	return list
}

func cutOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	fmt.Fprint(w, `{"status": "live"`)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func endless(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Link", `</beta/pi/servers?again>; rel="next"`)
	answer(w, http.StatusOK, map[string]any{"servers": map[string]any{}})
}

// silent says nothing for as long as somebody waits.
func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// drip says something all the time, and never ends.
func drip(w http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		fmt.Fprint(w, " ")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}
