package web

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"pinwheel/internal/store"
)

func sumOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// TestStart: the page tells a visitor what he can paste, for the address that he
// came by.
func TestStart(t *testing.T) {
	t.Parallel()
	earlier := time.Date(2026, 11, 21, 10, 30, 0, 0, time.FixedZone("CET", 3600))
	for _, c := range []struct {
		name, host, proto string
		counted           *time.Time
		away              bool
		want              []string
		not               []string
	}{
		{
			name: "a farm in the house", host: "farm.lan:8080",
			want: []string{"extra-index-url = http://farm.lan:8080/simple/\ntrusted-host = farm.lan</pre>", "<dd>12</dd>", "<dd>34</dd>", `href="simple/"`, "1.2.3"},
			not:  []string{"Counted", "not available", "{{", "}}"},
		},
		{
			name: "where counting takes long", host: "localhost", counted: &earlier,
			want: []string{"<dd>34</dd>\n<dt>Counted</dt><dd>2026-11-21 09:30 UTC</dd>\n</dl>"},
		},
		{
			name: "this machine", host: "127.0.0.1:8080",
			want: []string{"http://127.0.0.1:8080/simple/</pre>"}, not: []string{"trusted-host"},
		},
		{
			name: "this machine by IPv6", host: "[::1]:8080",
			want: []string{"http://[::1]:8080/simple/</pre>"}, not: []string{"trusted-host"},
		},
		{
			name: "behind a proxy with TLS", host: "wheels.example", proto: "https",
			want: []string{"https://wheels.example/simple/</pre>"}, not: []string{"trusted-host"},
		},
		{
			name: "a proxy that says anything", host: "wheels.example", proto: "javascript",
			want: []string{"http://wheels.example/simple/"}, not: []string{"javascript"},
		},
		{
			name: "a host with signs in it", host: `a"><script>x{{version}}`,
			want: []string{"&lt;script&gt;x"}, not: []string{"<script>", "x1.2.3"},
		},
		{
			name: "without the database", host: "localhost", away: true,
			want: []string{"http://localhost/simple/", "not available"}, not: []string{"<dd>", "refused"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := rows{status: store.Status{Counts: store.Counts{Packages: 12, Wheels: 34, Counted: c.counted}}}
			if c.away {
				db.away = errors.New("refused")
			}
			_, h := newSite(t, func(cfg *Config) { cfg.Store = db })
			r := httptest.NewRequest("GET", "/", nil)
			r.Host = c.host
			r.Header.Set("X-Forwarded-Proto", c.proto)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			body := w.Body.String()
			if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("%d %v", w.Code, w.Header())
			}
			for _, s := range c.want {
				if !strings.Contains(body, s) {
					t.Errorf("not on the page: %s\n%s", s, body)
				}
			}
			for _, s := range c.not {
				if strings.Contains(body, s) {
					t.Errorf("on the page: %s\n%s", s, body)
				}
			}
			if _, err := html.Parse(strings.NewReader(body)); err != nil {
				t.Error(err)
			}
		})
	}
}
