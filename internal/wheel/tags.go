package wheel

import (
	"slices"
	"strings"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
)

// maxTags is more than any file name stands for.
const maxTags = 5000

// checkTags holds the file name's tags against the target (PEP 425): a wheel may
// promise no platform and no ABI but the ones it was built on, and must run there.
func checkTags(tags []pep.Tag, target farm.Target, found *findings) {
	supported := target.Tags()
	runs := false
	for _, t := range tags {
		runs = runs || slices.Contains(supported, t)
	}
	for _, platform := range distinct(tags, func(t pep.Tag) string { return t.Platform }) {
		if platform != "any" && platform != target.Platform {
			found.reject(CodeTagPlatform, "", "platform tag %s; want %s or any", platform, target.Platform)
		}
	}
	// py2.py3 is a promise that a pure wheel may make; a second binary interface
	// is one that nobody tried.
	for _, abi := range distinct(tags, func(t pep.Tag) string { return t.ABI }) {
		if abi != "none" && abi != "abi3" && abi != target.ABI {
			found.reject(CodeTagABI, "", "ABI tag %s; want %s, abi3 or none", abi, target.ABI)
		}
	}
	if !runs {
		found.reject(CodeTagUnsupported, "", "no tag that Python on %s accepts", target)
	}
}

func distinct(tags []pep.Tag, part func(pep.Tag) string) []string {
	var all []string
	for _, t := range tags {
		if p := part(t); !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// checkWheelTags holds the tags in WHEEL against those of the file name: pip
// reads only the name, other tools only the file, and both must choose alike.
func checkWheelTags(entry string, lines []string, name pep.WheelName, found *findings) {
	if len(lines) == 0 {
		found.reject(CodeWheelTags, entry, "WHEEL has no Tag")
		return
	}
	var said []string
	for _, line := range lines {
		tags, err := pep.ParseTags(line)
		if err != nil {
			found.reject(CodeWheelTags, entry, "WHEEL: %v", err)
			return
		}
		said = append(said, tagStrings(tags)...)
		if len(said) > maxTags {
			break // not those of any file name; each line may stand for a thousand
		}
	}
	slices.Sort(said)
	said = slices.Compact(said)
	if want := tagStrings(name.Tags); !slices.Equal(said, want) {
		found.reject(CodeWheelTags, entry, "WHEEL says %s, the file name %s", strings.Join(said[:min(len(said), 20)], " "), strings.Join(want[:min(len(want), 20)], " "))
	}
}

// tagStrings returns the tags as text, sorted, each once.
func tagStrings(tags []pep.Tag) []string {
	all := make([]string, len(tags))
	for i, t := range tags {
		all[i] = t.String()
	}
	slices.Sort(all)
	return slices.Compact(all)
}
