package ingest

import (
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// eventRate is how many announced projects are taken a second, after a first
// eventBurst. A page of the changelog may name thousands, and slaves ask the same
// database for work. Walks have no such bound: people wait for them.
const (
	eventRate  = 300
	eventBurst = 100
)

// pace says when the next names are taken, by how many of these are of events.
func (r *reader) pace(list []store.Reading) {
	const each = time.Second / eventRate
	if idle := r.now().Add(-eventBurst * each); r.paced.Before(idle) {
		r.paced = idle
	}
	for _, one := range list {
		if one.Urgency <= farm.UrgencyEvent {
			r.paced = r.paced.Add(each)
		}
	}
}
