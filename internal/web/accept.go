package web

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// variant is a form in which a page of the index exists.
type variant struct {
	accept  []string // the media types that ask for it
	content string   // the Content-Type that it is answered with
	file    string
	form    string // one letter that tells it from the others in an ETag
}

// variants are the forms of PEP 691. "latest" asks for the newest version of a
// form, and is answered with its real one.
func variants() []variant {
	return []variant{
		{
			accept:  []string{"application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.latest+json"},
			content: "application/vnd.pypi.simple.v1+json", file: "index.json", form: "j",
		},
		{
			accept:  []string{"application/vnd.pypi.simple.v1+html", "application/vnd.pypi.simple.latest+html"},
			content: "application/vnd.pypi.simple.v1+html; charset=utf-8", file: "index.html", form: "v",
		},
		{
			accept:  []string{"text/html"},
			content: "text/html; charset=utf-8", file: "index.html", form: "h",
		},
	}
}

// negotiate returns the variants that an Accept header allows, best first; none
// is 406. A wish by name comes before a wildcard of the same weight; among
// wildcards, plain HTML comes first, as PEP 691 has it for those who do not care.
func negotiate(header string) []variant {
	ranges := parseAccept(header)
	type choice struct {
		variant
		weight   float64
		specific int
	}
	var choices []choice
	for _, v := range variants() {
		if weight, specific := weigh(ranges, v.accept); weight > 0 {
			choices = append(choices, choice{v, weight, specific})
		}
	}
	slices.SortStableFunc(choices, func(a, b choice) int {
		order := cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(b.specific, a.specific))
		if order == 0 && a.specific < exactly {
			return cmp.Compare(plain(b.variant), plain(a.variant))
		}
		return order
	})
	out := make([]variant, len(choices))
	for i, c := range choices {
		out[i] = c.variant
	}
	return out
}

func plain(v variant) int {
	if v.accept[0] == "text/html" {
		return 1
	}
	return 0
}

// exactly is the specificity of a range that names one media type.
const exactly = 2

// mediaRange is one element of an Accept header (RFC 9110, 12.5.1).
type mediaRange struct {
	kind, subtype string // in lower case; "*" is any
	weight        float64
}

// covers tells how specifically the range means a media type; negative: it does not.
func (m mediaRange) covers(media string) int {
	kind, subtype, _ := strings.Cut(media, "/")
	switch {
	case m.kind == kind && m.subtype == subtype:
		return exactly
	case m.kind == kind && m.subtype == "*":
		return 1
	case m.kind == "*" && m.subtype == "*":
		return 0
	}
	return -1
}

// weigh gives a variant the weight of the range that means it most specifically,
// whatever the others say; of several such ranges the heaviest counts.
func weigh(ranges []mediaRange, names []string) (weight float64, specific int) {
	specific = -1
	for _, name := range names {
		for _, r := range ranges {
			c := r.covers(name)
			if c > specific || c == specific && c >= 0 && r.weight > weight {
				weight, specific = r.weight, c
			}
		}
	}
	return weight, specific
}

// maxRanges bounds what one request may cost; browsers send about eight.
const maxRanges = 64

// parseAccept reads an Accept header. Elements that make no sense are passed
// over; a header without any sense in it is as good as none, which allows all.
func parseAccept(header string) []mediaRange {
	var out []mediaRange
	rest := header
	for more := true; more && len(out) < maxRanges; {
		var element string
		element, rest, more = strings.Cut(rest, ",")
		if m, ok := parseRange(element); ok {
			out = append(out, m)
		}
	}
	if len(out) == 0 {
		return []mediaRange{{"*", "*", 1}}
	}
	return out
}

func parseRange(element string) (mediaRange, bool) {
	media, params, _ := strings.Cut(element, ";")
	kind, subtype, ok := strings.Cut(strings.ToLower(strings.TrimSpace(media)), "/")
	if !ok || kind == "" || subtype == "" || kind == "*" && subtype != "*" {
		return mediaRange{}, false
	}
	weight, ok := weightOf(params)
	return mediaRange{kind, subtype, weight}, ok
}

// weightOf finds the weight among the parameters of an element; without one it is 1.
func weightOf(params string) (weight float64, ok bool) {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			return parseWeight(strings.TrimSpace(value))
		}
	}
	return 1, true
}

// parseWeight reads a number from 0 to 1 with at most three decimals: not the
// "inf", "nan" and "1e0" that strconv would take.
func parseWeight(s string) (float64, bool) {
	if s == "" || len(s) > 5 || strings.Trim(s, "0123456789.") != "" {
		return 0, false
	}
	w, err := strconv.ParseFloat(s, 64)
	return w, err == nil && w <= 1
}
