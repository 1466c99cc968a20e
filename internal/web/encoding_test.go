package web

import (
	"strings"
	"testing"
)

func TestWantsGzip(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		"":                         false,
		"gzip":                     true,
		"gzip, deflate":            true, // pip
		"gzip, deflate, br, zstd":  true, // a browser, uv
		"identity":                 false,
		"deflate, br":              false,
		"*":                        true,
		"*;q=0.1":                  true,
		"*;q=0":                    false,
		"gzip;q=0":                 false,
		"gzip;q=0, *":              false,
		"gzip;q=0.0":               false,
		"gzip;q=0.001":             true,
		"identity;q=0.5, gzip":     true,
		"identity, gzip;q=0.5":     false,
		"identity;q=0, gzip;q=0.1": true,
		"identity;q=1, *;q=0.5":    false,
		"identity;q=0.5, *;q=0.5":  true,
		"X-GZIP":                   true,
		" \tGZip ; Q=0.3 ":         true,
		"gzip;q=2":                 false,
		"gzip;q=nan, br":           false,
		"gzip;level=9":             true,
		"gzipped, notgzip":         false,
		",,;;,gzip":                true,
		"gzip, gzip;q=0":           false,
	} {
		if got := wantsGzip(header); got != want {
			t.Errorf("Accept-Encoding: %q: %v", header, got)
		}
	}
}

func FuzzWantsGzip(f *testing.F) {
	for _, seed := range []string{"", "gzip", "*;q=0, gzip;q=0.5", ";q=1,identity", "gzip;q=1e0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		weights := parseCodings(header)
		if len(weights) > maxRanges {
			t.Fatalf("%d codings", len(weights))
		}
		for name, w := range weights {
			if !(w >= 0 && w <= 1) || name != strings.ToLower(name) {
				t.Errorf("%q has weight %v", name, w)
			}
		}
		if wantsGzip(header) && !strings.Contains(strings.ToLower(header), "gzip") && !strings.Contains(header, "*") {
			t.Errorf("%q: gzip was not named", header)
		}
		// Who can do something else too, can still do this.
		if len(weights) < maxRanges && wantsGzip(header) && !wantsGzip(header+",br") {
			t.Errorf("%q: not with br", header)
		}
	})
}
