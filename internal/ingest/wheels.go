package ingest

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"pinwheel/internal/pep"
	"pinwheel/internal/pypi"
	"pinwheel/internal/store"
)

// maxWheels bounds the text of one release's tags, in bytes. The largest real
// ones have 5,000.
const maxWheels = 8 << 10

// wheelTags are the tags of a release's wheels that a Linux could take: each
// once, sorted, separated by blanks. A wheel that pip passes over on some of the
// targets that its tags are for is left out, since the tags cannot say so: then a
// build is one too many, and not one too few.
func wheelTags(r pypi.Release) string {
	var tags []string
	for _, w := range r.Wheels {
		if w.Yanked && !r.Yanked || w.RequiresPython != "" && w.RequiresPython != r.RequiresPython {
			continue
		}
		name, err := pep.ParseWheelName(w.Filename)
		if err != nil {
			continue
		}
		for _, t := range name.Tags {
			if forLinux(t.Platform) {
				tags = append(tags, t.String())
			}
		}
	}
	slices.Sort(tags)
	tags = slices.Compact(tags)
	if text := strings.Join(tags, " "); len(text) <= maxWheels {
		return text
	}
	return shorten(tags)
}

func forLinux(platform string) bool {
	return platform == "any" || strings.HasPrefix(platform, "linux_") ||
		strings.HasPrefix(platform, "manylinux") || strings.HasPrefix(platform, "musllinux")
}

// shorten leaves out what is of use to the fewest: what no target of this farm's
// kind takes, then the tags for one platform, before those for all of them.
func shorten(tags []string) string {
	use := func(tag string) int {
		switch {
		case strings.HasSuffix(tag, "-any"):
			return 0
		case strings.HasPrefix(tag, "cp") && !strings.Contains(tag, "-musllinux"):
			return 1
		}
		return 2
	}
	slices.SortStableFunc(tags, func(a, b string) int { return cmp.Compare(use(a), use(b)) })
	size := -1
	n := 0
	for n < len(tags) && size+1+len(tags[n]) <= maxWheels {
		size += 1 + len(tags[n])
		n++
	}
	tags = tags[:n]
	slices.Sort(tags)
	return strings.Join(tags, " ")
}

// taker is what pip on one target takes.
type taker struct {
	rank  map[pep.Tag]int // of the tags for a plain platform: lower is better
	arch  string          // the machine, as platform tags end in it
	glibc glibc
}

// glibc is a version of the C library; the zero one is not known.
type glibc struct{ major, minor int }

func (g glibc) holds(h glibc) bool {
	return g.major == h.major && g.minor >= h.minor
}

func newTaker(t store.TargetRow) taker {
	tags := t.Target.Tags()
	k := taker{rank: make(map[pep.Tag]int, len(tags)), arch: strings.TrimPrefix(t.Target.Platform, "linux_")}
	for i, tag := range tags {
		k.rank[tag] = i
	}
	k.glibc, _ = parseGlibc(t.Facts.Glibc, ".")
	return k
}

// parseGlibc reads "2.36", or the "2_17" of a platform tag.
func parseGlibc(s, sep string) (g glibc, ok bool) {
	major, minor, _ := strings.Cut(s, sep)
	if sep == "." {
		minor, _, _ = strings.Cut(minor, sep) // "2.31.9000"
	}
	a, err1 := strconv.ParseUint(major, 10, 16)
	b, err2 := strconv.ParseUint(minor, 10, 16)
	if err1 != nil || err2 != nil {
		return glibc{}, false
	}
	return glibc{int(a), int(b)}, true
}

// choice is the tag that pip takes of those in the text, the best one for it;
// empty: none. How new a manylinux is does not decide: of a release's wheels with
// the same interpreter and ABI any one will do.
func (k taker) choice(text string) string {
	best, bestRank := "", 0
	for word := range strings.SplitSeq(text, " ") {
		if r, ok := k.takes(word); ok && (best == "" || r < bestRank) {
			best, bestRank = word, r
		}
	}
	return best
}

func (k taker) takes(word string) (rank int, ok bool) {
	python, rest, _ := strings.Cut(word, "-")
	abi, platform, _ := strings.Cut(rest, "-")
	if strings.HasPrefix(platform, "manylinux") {
		if !k.manylinux(platform) {
			return 0, false
		}
		platform = "linux_" + k.arch
	}
	rank, ok = k.rank[pep.Tag{Python: python, ABI: abi, Platform: platform}]
	return rank, ok
}

// manylinux says whether pip takes a platform tag of PEP 513, 571, 599 or 600,
// as the reference does: the machine is the same, and the glibc of the system is
// not older. Of a target whose glibc nobody told, it takes none.
func (k taker) manylinux(platform string) bool {
	version, ok := strings.CutSuffix(platform, "_"+k.arch)
	if !ok {
		return false
	}
	oldest, ok := oldestGlibc(k.arch)
	if !ok {
		return false
	}
	var wants glibc
	switch version {
	case "manylinux1":
		wants = glibc{2, 5}
	case "manylinux2010":
		wants = glibc{2, 12}
	case "manylinux2014":
		wants = glibc{2, 17}
	default:
		number, found := strings.CutPrefix(version, "manylinux_")
		if wants, ok = parseGlibc(number, "_"); !ok || !found {
			return false
		}
	}
	return wants.holds(oldest) && k.glibc.holds(wants)
}

// oldestGlibc is where manylinux begins on a machine (PEP 513 and 599); false: it
// has none, like armv6l.
func oldestGlibc(arch string) (glibc, bool) {
	switch arch {
	case "x86_64", "i686":
		return glibc{2, 5}, true
	case "aarch64", "armv7l", "ppc64", "ppc64le", "s390x", "loongarch64", "riscv64":
		return glibc{2, 17}, true
	}
	return glibc{}, false
}
