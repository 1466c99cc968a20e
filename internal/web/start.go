package web

import (
	"bytes"
	"context"
	_ "embed"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"strings"

	"pinwheel/internal/store"
)

//go:embed start.html
var startText string

var startPage = template.Must(template.New("start").Parse(startText))

// escape makes a path segment; the plus sign too, as publish does.
func escape(segment string) string {
	return strings.ReplaceAll(url.PathEscape(segment), "+", "%2B")
}

// start is the page for people.
func (s *site) start(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	page := struct {
		Version, Index, Trusted string
		Status                  *store.Status
	}{Version: s.Version}
	page.Index, page.Trusted = visited(r)
	// The site works without its database, and so does this page: no counts.
	if st, err := s.Store.Status(ctx); err != nil {
		s.Log.Warn().Err(err).Msg("start page without counts")
	} else {
		page.Status = &st
	}
	var b bytes.Buffer
	if err := startPage.Execute(&b, page); err != nil {
		s.broken(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	w.Write(b.Bytes())
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
