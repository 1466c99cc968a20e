package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
)

// TestCommandsAskTheFarmsUpstream: what is queued must be built from where it was
// found, whatever pip of the caller uses.
func TestCommandsAskTheFarmsUpstream(t *testing.T) {
	t.Parallel()
	upstream := pypitest.New(t, "-- pure-one==1.0 --\n")
	f := newTestFarm(t, upstream.URL(), farm.Limits{})
	got, err := farmsUpstream(t.Context(), f.Store, settings{})
	if err != nil || got != upstream.URL() {
		t.Errorf("without --upstream: %q, %v", got, err)
	}
	if _, err := farmsUpstream(t.Context(), f.Store, settings{Upstream: strings.TrimRight(upstream.URL(), "/")}); err != nil {
		t.Errorf("with the same --upstream: %v", err)
	}
	_, err = farmsUpstream(t.Context(), f.Store, settings{Upstream: "http://user:geheim@other.example/simple/"})
	if err == nil || !strings.Contains(err.Error(), upstream.URL()) || strings.Contains(err.Error(), "geheim") {
		t.Errorf("with another --upstream: %v", err)
	}
}

// agents is an index in HTML with one release, that keeps who asked for what.
type agents struct {
	*httptest.Server
	mu  sync.Mutex
	who map[string]string // by path
}

func newAgents(t *testing.T) *agents {
	t.Helper()
	a := &agents{who: map[string]string{}}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.who[r.URL.Path] = r.UserAgent()
		if r.URL.Path != "/simple/pure/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<meta name="pypi:repository-version" content="1.0"><a href="/pure-1.0.tar.gz">pure-1.0.tar.gz</a>`)
	}))
	t.Cleanup(a.Close)
	return a
}

// asked forgets who asked, and returns it.
func (a *agents) asked() map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	who := a.who
	a.who = map[string]string{}
	return who
}

// TestAddAsksAsSettled: add introduces itself as the master does, and asks for the JSON
// that completes a page where the settings say.
func TestAddAsksAsSettled(t *testing.T) {
	t.Parallel()
	index := newAgents(t)
	f := newTestFarm(t, index.URL+"/simple/", farm.Limits{})
	const page, beside, elsewhere = "/simple/pure/", "/pypi/pure/json", "/elsewhere/pure/json"
	for _, c := range []struct {
		json string
		want []string
	}{{"", []string{page, beside}}, {index.URL + "/elsewhere", []string{page, elsewhere}}, {noJSON, []string{page}}} {
		index.asked()
		f.done("add", "pure", "--ingest-contact", "me@farm.example", "--ingest-json", c.json)
		who := index.asked()
		for _, path := range c.want {
			if want := "pinwheel/" + strings.ReplaceAll(cli.Version(), " ", "-") + " (+me@farm.example)"; who[path] != want {
				t.Errorf("--ingest-json %q: %s was asked for by %q, want %q", c.json, path, who[path], want)
			}
		}
		if len(who) != len(c.want) {
			t.Errorf("--ingest-json %q: asked for %v, want %v", c.json, who, c.want)
		}
	}
}

// TestAddWhileAway: a farm that follows an index is not told to name another one.
func TestAddWhileAway(t *testing.T) {
	t.Parallel()
	f := newOpsFarm(t)
	code, _, text := f.command("add", "pure")
	if code != cli.ExitFailed || !strings.Contains(text, "add it again when the upstream answers") || strings.Contains(text, "--upstream") {
		t.Errorf("exit status %d, %s", code, text)
	}
}

// TestWalkTold: of a walk without its list people read what it waits for, and no trouble
// when it has ended well.
func TestWalkTold(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for want, w := range map[string]store.Walk{
		"walk in place of the changelog, for 3 h: reads the list of names\n":                     {},
		"walk in place of the changelog, for 3 h: waits for the list of names\n  trouble: 503\n": {Trouble: "503"},
		"last walk in place of the changelog, ended 0 s ago: there was no new list of names\n":   {Ended: &now},
	} {
		w.Kind, w.Began = "gap", now.Add(-3*time.Hour)
		var out bytes.Buffer
		teller{out: &out, now: now}.walk(w, 0)
		if got := out.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
