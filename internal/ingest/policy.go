package ingest

import (
	"encoding/json"

	"pinwheel/internal/farm"
)

// PlannedPolicy is the policy by which a farm's jobs were planned last, taken from
// what the database keeps of it (store.Following.Fingerprint); ok is false if
// nothing was planned yet, or by a program of another version.
func PlannedPolicy(fingerprint string) (policy farm.Policy, ok bool) {
	var p print
	if fingerprint == "" || json.Unmarshal([]byte(fingerprint), &p) != nil || p.Policy == (farm.Policy{}) {
		return farm.Policy{}, false
	}
	return p.Policy, true
}
