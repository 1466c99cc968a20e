package builder

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// usualEpoch is the time of files in wheels of which no better one is known:
// 2020-01-01. A zip holds none before 1980.
const usualEpoch = 1577836800

const firstEpoch = 315532800 // 1980-01-01

// epoch is what tools take for the time of now where they write one into what they
// make (SOURCE_DATE_EPOCH, reproducible-builds.org): the release's own time, so that
// building it again may give the same bytes.
func (b Build) epoch() string {
	at := b.Epoch.Unix()
	if b.Epoch.IsZero() || at < firstEpoch || at > time.Now().Unix() {
		at = usualEpoch
	}
	return "SOURCE_DATE_EPOCH=" + strconv.FormatInt(at, 10)
}

// recorded is what of the environment changes what comes out, and is not the same
// for all builds; a recipe's own is recorded with it.
func (x *box) recorded() map[string]string {
	told := map[string]string{}
	for _, entry := range x.env() {
		name, value, _ := strings.Cut(entry, "=")
		if slices.Contains([]string{"LANG", "PATH", "SOURCE_DATE_EPOCH", "_PYTHON_HOST_PLATFORM"}, name) {
			told[name] = value // of one name the last counts
		}
	}
	return told
}
