package web

import (
	"context"
	_ "embed"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"pinwheel/internal/store"
)

// startText has places for what is told, {{like}} this. html/template would keep all
// methods of all types in the program, since a template can call any of them by name:
// 3.5 MB for one page (decision 38).
//
//go:embed start.html
var startText string

// escape makes a path segment; the plus sign too, as publish does.
func escape(segment string) string {
	return strings.ReplaceAll(url.PathEscape(segment), "+", "%2B")
}

// start is the page for people.
func (s *site) start(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	index, trusted := visited(r)
	if trusted != "" {
		index += "\ntrusted-host = " + trusted
	}
	// The site works without its database, and so does this page: no counts.
	counts := "<p>The counts are not available just now; the index is.</p>\n"
	if st, err := s.Store.Status(ctx); err != nil {
		s.Log.Warn().Err(err).Msg("start page without counts")
	} else {
		counts = countsHTML(st.Counts)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	_, _ = io.WriteString(w, strings.NewReplacer("{{index}}", html.EscapeString(index), "{{counts}}", counts,
		"{{version}}", html.EscapeString(s.Version)).Replace(startText))
}

// countsHTML says what is here, and when it was counted if that was earlier.
func countsHTML(c store.Counts) string {
	counted := ""
	if c.Counted != nil {
		counted = "<dt>Counted</dt><dd>" + c.Counted.UTC().Format("2006-01-02 15:04") + " UTC</dd>\n"
	}
	return fmt.Sprintf("<h2>What is here</h2>\n<dl>\n<dt>Packages</dt><dd>%d</dd>\n<dt>Wheels</dt><dd>%d</dd>\n%s</dl>\n",
		c.Packages, c.Wheels, counted)
}

// visited is the URL of the index as this visitor can reach it, and the host that
// his pip must be told to trust: one that it would reach without TLS, but for the
// machine itself.
func visited(r *http.Request) (index, trusted string) {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	u := url.URL{Scheme: scheme, Host: r.Host, Path: "/simple/"}
	host := u.Hostname()
	if ip := net.ParseIP(host); scheme == "http" && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		trusted = host
	}
	return u.String(), trusted
}
