package collect

import (
	"cmp"
	"slices"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/store"
	"pinwheel/internal/wheel"
)

// covers lists the targets, by id, that come after ours in the farm's order and
// need no build of their own: the wheel is for every platform, and pip there takes
// it, by its tags (PEP 425) and by the Python that it requires (PEP 345). A wheel
// for one platform may need what another target's system does not have.
func covers(all []store.TargetRow, ours farm.Target, r wheel.Report) []int64 {
	at := slices.IndexFunc(all, func(t store.TargetRow) bool { return t.Target == ours })
	ids := []int64{}
	for _, t := range all[at+1:] {
		if takes(t, r.Tags) && farm.PythonAllowed(r.Metadata.RequiresPython, cmp.Or(t.Facts.Python, t.Target.Python())) {
			ids = append(ids, t.ID)
		}
	}
	return ids
}

// takes says whether all tags are for every platform, and one is the target's.
func takes(t store.TargetRow, tags []string) bool {
	supported := t.Target.Tags()
	ok := false
	for _, s := range tags {
		set, err := pep.ParseTags(s)
		if err != nil {
			return false // cannot be: it was verified
		}
		for _, tag := range set {
			if tag.Platform != "any" {
				return false
			}
			ok = ok || slices.Contains(supported, tag)
		}
	}
	return ok
}
