package web

import (
	"context"
	"encoding/json"
	"net/http"
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

// status tells machines of the farm, as `master status --json` does.
func (s *site) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	st, err := s.Store.Status(ctx)
	if err != nil {
		s.broken(w, r, err)
		return
	}
	body, err := json.Marshal(public(st))
	if err != nil {
		s.broken(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(append(body, '\n'))
}

// public leaves out what strangers need not know: who may not work here any more,
// and who is no slave.
func public(st store.Status) store.Status {
	work := []store.SlaveRow{} // an empty list, not null
	for _, w := range st.Slaves {
		if w.Role == farm.RoleSlave && !w.Revoked {
			work = append(work, w)
		}
	}
	st.Slaves = work
	return st
}
