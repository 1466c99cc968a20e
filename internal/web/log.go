package web

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"pinwheel/internal/buildlog"
	"pinwheel/internal/depot"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// unpackTime is how long it may take to unpack a log: the largest take a few
// seconds on a Pi, and what takes longer was not made by a slave of ours.
const unpackTime = 20 * time.Second

// log serves the log of a build. It is text that strangers wrote, and nothing in
// it may become more than text: see secure.
func (s *site) log(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("build"), 10, 64)
	if err != nil || id <= 0 {
		notFound(w)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	b, err := s.Store.Build(ctx, id)
	switch {
	case errors.Is(err, farm.ErrNotFound):
		say(w, http.StatusNotFound, "there is no build "+strconv.FormatInt(id, 10))
	case err != nil:
		s.broken(w, r, err)
	case b.Outcome == "":
		say(w, http.StatusNotFound, "no log yet: the build is under way")
	case b.LogSHA256 == "":
		say(w, http.StatusNotFound, "no log: the build ended as "+b.Outcome+" without one")
	default:
		s.sendLog(w, r, b)
	}
}

// sendLog sends a log as it is kept, which is compressed, to those who can unpack
// it, and unpacks it for the others.
func (s *site) sendLog(w http.ResponseWriter, r *http.Request, b store.BuildRow) {
	f, err := s.Depot.Open(b.LogSHA256)
	if errors.Is(err, farm.ErrNotFound) {
		say(w, http.StatusNotFound, "no log: it is not kept any more")
		return
	}
	if err != nil {
		s.broken(w, r, err)
		return
	}
	defer f.Close()
	packed, err := buildlog.Compressed(f)
	if err != nil {
		s.broken(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Vary", "Accept-Encoding")
	if packed && !wantsGzip(codings(r)) {
		s.sendText(w, r, b, f)
		return
	}
	if packed {
		compressed(w, r, f.Size())
	}
	logHeaders(w, b.LogSHA256)
	http.ServeContent(w, r, "", time.Time{}, f)
}

// sendText unpacks a log. That is done twice, first only to learn its length, so
// that a log that cannot be unpacked is told before anything is sent, and so that
// ranges and lengths are true. Nothing of it is kept in memory.
func (s *site) sendText(w http.ResponseWriter, r *http.Request, b store.BuildRow, f depot.File) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	// The sending may take as long as the visitor's line does.
	late := time.AfterFunc(unpackTime, func() { cancel(errSlow) })
	text, err := buildlog.Open(ctx, f)
	late.Stop()
	if err != nil {
		s.unreadable(w, r, b, err)
		return
	}
	if strings.Contains(r.Header.Get("Range"), ",") {
		// Each range would unpack the log anew: a server may ignore them.
		r = r.Clone(ctx)
		r.Header.Del("Range")
	}
	logHeaders(w, b.LogSHA256+"-text")
	http.ServeContent(w, r, "", time.Time{}, text)
}

var errSlow = errors.New("unpacking the log takes too long")

// unreadable answers for a log that is not what it should be: whoever looks at
// the build should know that, and so should who enrolled the slave.
func (s *site) unreadable(w http.ResponseWriter, r *http.Request, b store.BuildRow, err error) {
	if r.Context().Err() != nil {
		return // the visitor left
	}
	if !errors.Is(err, buildlog.ErrDamaged) && !errors.Is(err, buildlog.ErrTooLong) && !errors.Is(err, errSlow) {
		s.broken(w, r, err)
		return
	}
	s.Log.Warn().Err(err).Int64("build", b.ID).Str("slave", b.Slave).Msg("log cannot be shown")
	say(w, http.StatusInternalServerError, "no log: what the slave sent cannot be unpacked")
}

func logHeaders(w http.ResponseWriter, tag string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "public, max-age=86400")
	h.Set("ETag", `"`+tag+`"`)
}
