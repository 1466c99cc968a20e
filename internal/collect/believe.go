package collect

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/wheel"
)

const (
	maxExcerpt = 2048
	maxWord    = 300 // bytes of a detail or hint
)

// believable takes from a slave only the causes that a slave can know. That a
// wheel was rejected or a slave lost is for the master to say.
func believable(r bus.Report) farm.Failure {
	f := r.Failure
	if !f.Cause.Valid() || f.Cause == farm.Rejected || f.Cause == farm.SlaveLost {
		f.Cause = farm.Unknown
	}
	return f
}

func trim(f farm.Failure) farm.Failure {
	f.Detail, f.Hint = plain(f.Detail, maxWord), plain(f.Hint, maxWord)
	return f
}

// plain makes text that Postgres and a terminal can take, of at most max bytes:
// valid UTF-8 without control characters but newline and tab.
func plain(s string, max int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || (r >= ' ' && r != 0x7f && !(r >= 0x80 && r < 0xa0)) {
			return r
		}
		return -1
	}, s)
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max]
}

func firstError(findings []wheel.Finding) string {
	for _, f := range findings {
		if f.Severity == wheel.Error {
			return f.Message
		}
	}
	return "not accepted"
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
