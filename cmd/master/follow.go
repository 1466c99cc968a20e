package main

import (
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/ingest"
	"pinwheel/internal/pypi"
	"pinwheel/internal/store"
)

// usualPage bounds a project's page, in bytes, while many are read at once; the few
// that have more are read one at a time.
const usualPage = 4 << 20

// mostRequests at once: more are an attack.
const mostRequests = 64

// mostLeases of one project at once: a claim numbers them in 16 bits, and no farm has
// so many slaves.
const mostLeases = 1000

// noJSON, for ingest-json, leaves out what only the upstream's JSON API tells.
const noJSON = "none"

// wireIngest makes the stage's two halves: what people ask for, and what the
// upstream says by itself.
func (m *Master) wireIngest() {
	s := m.Settings
	following := s.following(m.Store, m.Upstream, m.log)
	following.Now = m.now
	m.Follower = ingest.NewFollower(following)
	m.Ingest = ingest.New(ingest.Config{
		Store: m.Store, Upstream: pypi.New(s.index(m.Upstream)), Policy: s.policy(), Log: m.log,
	})
}

// index is how the upstream is asked.
func (s settings) index(upstream string) pypi.Config {
	index := pypi.Config{Simple: upstream, Changelog: s.Changelog, JSON: s.JSON, Version: cli.Version(), Contact: s.Contact}
	if s.JSON == noJSON {
		index.JSON, index.NoJSON = "", true
	}
	return index
}

// following is how the upstream is followed; what is not settled has a default.
func (s settings) following(st *store.Store, upstream string, log zerolog.Logger) ingest.FollowConfig {
	index := s.index(upstream)
	large := pypi.New(index)
	index.MaxBytes = usualPage
	usual := pypi.New(index)
	return ingest.FollowConfig{
		Store: st, Upstream: indexName(upstream), Leaves: indexName(s.MoveFrom), Index: usual, Large: large, Stats: []func() pypi.Stats{usual.Stats, large.Stats},
		Policy: s.policy(), Log: log, Quiet: !s.Follow,
		Poll: s.Poll, Requests: s.Requests, WalkEvery: s.WalkEvery, Nightly: s.nightly(), Reread: s.Reread,
	}
}

// indexName is the same for one index, whoever asks it.
func indexName(upstream string) string {
	if u, err := url.Parse(upstream); err == nil {
		u.User = nil
		upstream = u.String()
	}
	return strings.TrimRight(upstream, "/")
}

// policy is the operator's; the demo and tests, which settle nothing, have the
// default.
func (s settings) policy() farm.Policy {
	if s.Wheels == "" {
		return farm.DefaultPolicy()
	}
	return farm.Policy{UpstreamWheels: s.Wheels, Yanked: s.Yanked, NewDays: s.NewDays, ProjectLeases: s.ProjectLeases}
}

// nightly is the time since local midnight; check has tried it.
func (s settings) nightly() time.Duration {
	t, err := time.Parse("15:04", s.Nightly)
	if err != nil {
		return 0
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
}

// checkFollowing refuses what cannot be followed by. The demo and tests settle
// nothing.
func (s settings) checkFollowing() error {
	if s.Wheels == "" && s.Nightly == "" {
		return nil
	}
	var bad error
	refuse := func(when bool, format string, args ...any) {
		if when {
			bad = errors.Join(bad, cli.Usage(format, args...))
		}
	}
	refuse(s.Poll < 10*time.Millisecond, "--ingest-poll %s: want a duration such as 10s", s.Poll)
	refuse(s.Requests < 1 || s.Requests > mostRequests, "--ingest-requests %d: want 1 to %d", s.Requests, mostRequests)
	refuse(s.WalkEvery < time.Second, "--ingest-walk-every %s: want a duration such as 10m", s.WalkEvery)
	refuse(s.Reread < time.Hour, "--ingest-reread %s: want an hour or more, such as 720h", s.Reread)
	_, err := time.Parse("15:04", s.Nightly)
	refuse(err != nil, "--ingest-nightly %q: want a time of the day such as 03:30", s.Nightly)
	for flag, word := range map[string]string{"--policy-upstream-wheels": s.Wheels, "--policy-yanked": s.Yanked} {
		refuse(word != farm.PolicySkip && word != farm.PolicyLast && word != farm.PolicyBuild, "%s %q: want skip, last or build", flag, word)
	}
	refuse(s.NewDays < 0, "--policy-new-days %d: want a number of days", s.NewDays)
	refuse(s.ProjectLeases < 1 || s.ProjectLeases > mostLeases, "--policy-project-leases %d: want 1 to %d", s.ProjectLeases, mostLeases)
	refuse(s.SlaveFaults < 1, "--policy-slave-faults %d: want 1 or more", s.SlaveFaults)
	return bad
}
