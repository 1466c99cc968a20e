package ingest

import (
	"slices"

	"pinwheel/internal/pypi"
	"pinwheel/internal/store"
)

// A release in quarantine only vanishes from its project's page, as one that is
// removed does, and one may come back while the other's wheels go for ever. Nothing
// but the changelog tells them apart: its word is kept from "release quarantined"
// until the release is cleared or removed. Without a changelog the word is never
// heard, and what the page lacks is taken for removed.

// holds are the words of events on quarantined releases, in their order.
func holds(events []pypi.Event, since int64) []store.Hold {
	var out []store.Hold
	for _, e := range events {
		if e.Serial <= since {
			continue // said before
		}
		switch e.Action {
		case "remove project", "remove":
			out = append(out, store.Hold{Package: e.Name})
		case "release quarantined", "release quarantine cleared", "remove release":
			// What no row of a release can have is none of ours.
			if e.Version != "" && plain(e.Version, maxVersion) == e.Version {
				out = append(out, store.Hold{Package: e.Name, Version: e.Version, Held: e.Action == "release quarantined"})
			}
		}
	}
	return out
}

func heldKeys(known store.Known) map[string]bool {
	out := make(map[string]bool, len(known.Held))
	for _, v := range known.Held {
		out[releaseKey(v)] = true
	}
	return out
}

// heldBefore says whether something of a project is held back, or was when it was
// read last.
func heldBefore(known store.Known) bool {
	return len(known.Held) > 0 || slices.ContainsFunc(known.Releases, func(r store.KnownRelease) bool { return r.Quarantined })
}

// holds says whether the upstream holds a release back, should the page have
// nothing of it.
func (d *decision) holds(r *store.KnownRelease) bool {
	return r != nil && d.held[releaseKey(r.Version)] && hadFiles(r)
}

// keeps says whether a release is kept though the page has nothing of it.
func (d *decision) keeps(r *store.KnownRelease) bool {
	return d.holds(r) || d.partly && r != nil && hadFiles(r)
}

// hadFiles says whether there is anything that could have gone.
func hadFiles(r *store.KnownRelease) bool { return r.Sdist.Filename != "" || r.Wheels != "" }

// empty says whether a page names no file of a release. That is what some forms
// make of one in quarantine.
func empty(r pypi.Release) bool { return r.Sdist == nil && len(r.Wheels) == 0 }

// heldBack keeps a release as it was last seen.
func (d *decision) heldBack(r *store.KnownRelease, key string) item {
	f := r.ReleaseFacts
	if !f.Quarantined {
		f.Quarantined, d.out.Page = true, true
		d.out.Update = append(d.out.Update, store.KnownRelease{ID: r.ID, ReleaseFacts: f})
	}
	return item{was: r, facts: f, key: key}
}

// notTold is the trouble of a page that lacks a release, and nobody knows why.
const notTold = "releases are missing on a page of another moment than the changelog's, which says whether they are held back: " +
	"it is read again"

// unsure says whether a page lacks a release that may be in quarantine for all that
// the farm knows: the changelog was not heard so far yet, or the page is too old for
// what it said. Both are soon over.
func unsure(it *task, p pypi.Project) bool {
	heard := it.known.Heard
	told := max(it.reading.Serial, it.known.Announced)
	if heard == 0 || p.Serial == 0 || p.Status == statusQuarantined || p.Serial <= heard && p.Serial >= told {
		return false
	}
	named, held := map[string]bool{}, heldKeys(it.known)
	for _, r := range p.Releases {
		if _, key, ok := releaseFacts(p.Name, r); ok && !empty(r) {
			named[key] = true
		}
	}
	return slices.ContainsFunc(it.known.Releases, func(r store.KnownRelease) bool {
		key := releaseKey(r.Version)
		return !named[key] && !held[key] && hadFiles(&r)
	})
}
