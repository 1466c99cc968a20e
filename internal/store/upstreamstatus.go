package store

import (
	"context"
	"time"
)

// UpstreamStatus is how the farm stands to the upstream; part of Status.
type UpstreamStatus struct {
	Following Following         `json:"following"`
	Reading   []ReadingStatus   `json:"reading"`  // projects to be read, the most urgent first; none: an empty list
	Troubled  []TroubledProject `json:"troubled"` // of these, some that could not be read, those with the most tries first
	Walks     []Walk            `json:"walks"`    // under way, and the last one of each kind
	Faults    []UpstreamFault   `json:"faults"`   // what the upstream did wrong, by kind, the newest first
}

// ReadingStatus is what is left to be read of one urgency.
type ReadingStatus struct {
	Urgency  string `json:"urgency"`        // "event", "walk", "aged"
	Count    int64  `json:"count"`          // projects
	Due      int64  `json:"due"`            // of these, to be read now
	Troubled int64  `json:"troubled"`       // of these, not readable the last time
	Oldest   int64  `json:"oldest_seconds"` // since the first of them was asked for
}

// TroubledProject is one that could not be read.
type TroubledProject struct {
	Package string    `json:"package"`
	Tries   int       `json:"tries"`
	Trouble string    `json:"trouble"` // of the last try
	Since   time.Time `json:"since"`   // when it was first asked for
	Again   int64     `json:"again_in_seconds"`
	Now     bool      `json:"now"` // it is asked for at this moment
}

// The sources of what changed upstream, see Following.
const (
	SourceChangelog = "changelog"
	SourceSerials   = "serials" // of the list of names
	SourceNone      = "none"
)

const (
	troubledShown = 5
	walksLooked   = 100 // for the last one of each kind
)

func (s *Store) upstreamStatus(ctx context.Context) (st UpstreamStatus, err error) {
	if st.Following, err = s.Following(ctx); err != nil {
		return st, err
	}
	left, err := s.ReadingLeft(ctx)
	if err != nil {
		return st, err
	}
	st.Reading = []ReadingStatus{}
	for _, c := range left {
		st.Reading = append(st.Reading, ReadingStatus{c.Urgency.String(), c.Count, c.Due, c.Troubled, int64(c.Oldest / time.Second)})
	}
	troubled, err := s.Troubled(ctx, troubledShown)
	if err != nil {
		return st, err
	}
	st.Troubled = []TroubledProject{}
	for _, r := range troubled {
		again, now := max(0, int64(r.Due/time.Second)), r.Taken && r.Due > 0
		if now { // the lease of whoever reads it is no pause; one that is over is nobody's
			again = 0
		}
		st.Troubled = append(st.Troubled, TroubledProject{r.Name, r.Tries, r.Trouble, r.Since, again, now})
	}
	walks, err := s.Walks(ctx, walksLooked)
	if err != nil {
		return st, err
	}
	st.Walks = lastWalks(walks)
	faults, err := s.Faults(ctx)
	st.Faults = append([]UpstreamFault{}, faults...)
	return st, err
}

// lastWalks leaves those that have not ended, and the newest of each kind.
func lastWalks(all []Walk) []Walk {
	last := []Walk{}
	seen := map[string]bool{}
	for _, w := range all { // the newest first
		if w.Ended == nil || !seen[w.Kind] {
			last = append(last, w)
		}
		seen[w.Kind] = true
	}
	return last
}
