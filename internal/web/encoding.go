package web

import "strings"

// wantsGzip reads an Accept-Encoding header (RFC 9110, 12.5.3): gzip is sent to
// those who name it, or everything, and do not like the plain form better. No
// header would allow gzip too, but who sends none can mostly not unpack.
func wantsGzip(header string) bool {
	weights := parseCodings(header)
	gzip, named := weights["gzip"]
	if !named {
		gzip = weights["*"]
	}
	return gzip > 0 && gzip >= weights["identity"]
}

// parseCodings gives the codings of a header their weights. Elements that make no
// sense are passed over; of a coding that is named twice, the last counts.
func parseCodings(header string) map[string]float64 {
	out := map[string]float64{}
	rest := header
	for more := true; more && len(out) < maxRanges; {
		var element string
		element, rest, more = strings.Cut(rest, ",")
		name, params, _ := strings.Cut(element, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name == "x-gzip" { // the same, by its old name
			name = "gzip"
		}
		if weight, ok := weightOf(params); ok && name != "" {
			out[name] = weight
		}
	}
	return out
}
