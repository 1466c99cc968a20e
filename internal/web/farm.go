package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// patience is how long a visitor waits for the database.
const patience = 5 * time.Second

// health says whether the farm can work: its database answers.
func (s *site) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	if err := s.Store.Ping(ctx); err != nil {
		// Not the error's own words: they tell strangers where the database is.
		s.Log.Warn().Err(err).Msg("not healthy")
		say(w, http.StatusServiceUnavailable, "the database does not answer")
		return
	}
	say(w, http.StatusOK, "ok")
}

// statusAnswer is what machines are told of the farm.
type statusAnswer struct {
	Schema     int                         `json:"schema"`
	Version    string                      `json:"version"`
	Packages   int64                       `json:"packages"`
	Releases   int64                       `json:"releases"`
	Wheels     int64                       `json:"wheels"`
	WheelBytes int64                       `json:"wheel_bytes"`
	StalePages int64                       `json:"stale_pages"`
	Jobs       map[string]map[string]int64 `json:"jobs"` // target → state → jobs
	Slaves     []slaveAnswer               `json:"slaves"`
}

type slaveAnswer struct {
	Name     string     `json:"name"`
	Paused   bool       `json:"paused"`
	Doing    string     `json:"doing"`
	LastSeen *time.Time `json:"last_seen"`
}

func (s *site) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	st, err := s.Store.Status(ctx)
	if err != nil {
		s.broken(w, r, err)
		return
	}
	body, err := json.Marshal(s.describe(st))
	if err != nil {
		s.broken(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(append(body, '\n'))
}

// describe leaves out what strangers need not know: keys, and who may not work
// here any more or is no slave.
func (s *site) describe(st store.Status) statusAnswer {
	a := statusAnswer{
		Schema: 1, Version: s.Version, Packages: st.Packages, Releases: st.Releases, Wheels: st.Wheels,
		WheelBytes: st.WheelBytes, StalePages: st.StalePages, Jobs: st.Jobs, Slaves: []slaveAnswer{},
	}
	if a.Jobs == nil {
		a.Jobs = map[string]map[string]int64{}
	}
	for _, w := range st.Slaves {
		if w.Role == farm.RoleSlave && !w.Revoked {
			a.Slaves = append(a.Slaves, slaveAnswer{w.Name, w.Paused, w.Doing, w.LastSeen})
		}
	}
	return a
}

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
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "public, max-age=86400")
	h.Set("ETag", `"`+b.LogSHA256+`"`)
	http.ServeContent(w, r, "", time.Time{}, f)
}
