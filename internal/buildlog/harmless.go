package buildlog

import (
	"bytes"
	"fmt"
	"regexp"
	"unicode/utf8"
)

// Harmless is a writer that a build's output goes through before anybody sees it,
// live or kept. What it gives on is valid UTF-8 of printable characters, tabs and
// newlines: no terminal sequence (ECMA-48), no control character, none that turns
// the direction of writing; a carriage return ends a line. Credentials in URLs,
// tokens in their queries, and the secrets that it is told are replaced by stars,
// in however many pieces they are written.
//
// A word is given on when it is whole, that is with the white space behind it; one
// of more than maxWord bytes is cut, and what is left out is counted in its place.
// Memory is bounded by that and by the longest Write.
type Harmless struct {
	give    func([]byte)
	secrets [][]byte
	plain   plain
	held    []byte // harmless text whose last word is not whole yet
	dropped int64  // of a word that was cut
	cutting bool   // the word goes on
}

// maxWord is more than any path, symbol or URL has.
const maxWord = 8 << 10

// stars stand for a secret.
const stars = "****"

// NewHarmless gives the text on to give, which must not keep it.
func NewHarmless(give func([]byte), secrets ...string) *Harmless {
	h := &Harmless{give: give}
	for _, s := range secrets {
		h.secrets = append(h.secrets, []byte(s))
	}
	return h
}

// Write implements io.Writer; it always takes all.
func (h *Harmless) Write(p []byte) (int, error) {
	h.held = h.plain.append(h.held, p)
	h.skip()
	if i := bytes.LastIndexAny(h.held, " \t\n"); i >= 0 {
		h.pass(i + 1)
	}
	if len(h.held) > maxWord {
		h.cut()
	}
	return len(p), nil
}

// Flush gives on what is held, as if it were whole: at the end of the output.
func (h *Harmless) Flush() {
	h.held = h.plain.end(h.held)
	if h.skip(); h.cutting {
		h.endCut(h.dropped)
	}
	h.pass(len(h.held))
}

// pass gives on the first n bytes, which end with a whole word; long ones among them
// are cut like those that come in pieces.
func (h *Harmless) pass(n int) {
	for text := h.held[:n]; len(text) > 0; {
		from, to := longWord(text)
		if from > 0 {
			h.give(h.redact(text[:from]))
		}
		if to > from {
			h.endCut(h.begin(text[from:to]))
		}
		text = text[to:]
	}
	h.held = append(h.held[:0], h.held[n:]...)
}

// longWord finds the first word that is too long; without one, both are the end.
func longWord(text []byte) (from, to int) {
	if len(text) <= maxWord {
		return len(text), len(text)
	}
	for to < len(text) {
		from = to
		n := bytes.IndexAny(text[from:], " \t\n")
		if n < 0 {
			n = len(text) - from
		}
		if to = from + n; n > maxWord {
			return from, to
		}
		to = min(to+1, len(text))
	}
	return to, to
}

// begin gives on the beginning of a word that is too long, and returns how much of
// it was left out.
func (h *Harmless) begin(word []byte) int64 {
	keep := wholeRunes(word, maxWord)
	h.give(h.redact(h.safe(word[:keep])))
	return int64(len(word) - keep)
}

// cut begins to drop a word that is too long, and not whole yet.
func (h *Harmless) cut() {
	h.dropped, h.cutting = h.begin(h.held), true
	h.held = h.held[:0]
}

// skip drops what belongs to the word that was cut.
func (h *Harmless) skip() {
	if !h.cutting {
		return
	}
	end := bytes.IndexAny(h.held, " \t\n")
	if end < 0 {
		h.dropped += int64(len(h.held))
		h.held = h.held[:0]
		return
	}
	h.dropped += int64(end)
	h.held = append(h.held[:0], h.held[end:]...)
	h.endCut(h.dropped)
}

// endCut says how much of a word was left out.
func (h *Harmless) endCut(n int64) {
	h.give(fmt.Appendf(nil, "[... %d bytes left out ...]", n))
	h.dropped, h.cutting = 0, false
}

// safe takes from the end of a word that is cut what may be the first half of a
// secret: only what follows would show that it is one.
func (h *Harmless) safe(word []byte) []byte {
	if i := bytes.LastIndex(word, []byte("://")); i >= 0 && !bytes.ContainsAny(word[i+3:], authorityEnds) {
		return append(word[:i+3:i+3], stars...)
	}
	for _, s := range h.secrets {
		for n := len(s) - 1; n > 0; n-- {
			if bytes.HasSuffix(word, s[:n]) {
				return append(word[:len(word)-n:len(word)-n], stars...)
			}
		}
	}
	return word
}

// wholeRunes is the most bytes of b, up to n, that end with a whole character.
func wholeRunes(b []byte, n int) int {
	if len(b) <= n {
		return len(b)
	}
	for back := 0; back < utf8.UTFMax && n-back > 0; back++ {
		if utf8.RuneStart(b[n-back]) {
			return n - back
		}
	}
	return n
}

// authorityEnds are what ends the host in a URL (RFC 3986), or the URL itself.
const authorityEnds = "/?#\"<> \t\n"

// queryToken is a value in a URL's query whose name says that it is to be kept.
var queryToken = regexp.MustCompile(`(?i)([?&](?:amp;)?(?:[a-z0-9]+[-_.])*` +
	`(?:token|api_?key|apikey|accesskey|key|secret|password|passwd|pwd|signature|sig|auth|credential)=)[^\s&#"'<>]+`)

// redact hides secrets in whole words.
func (h *Harmless) redact(text []byte) []byte {
	if bytes.Contains(text, []byte("://")) {
		text = hideUserinfo(text)
	}
	if bytes.ContainsAny(text, "?&") {
		text = queryToken.ReplaceAll(text, []byte("${1}"+stars))
	}
	for _, s := range h.secrets {
		if bytes.Contains(text, s) {
			text = bytes.ReplaceAll(text, s, []byte(stars))
		}
	}
	return text
}

// hideUserinfo hides what stands before the @ of a URL's host, a name too: tokens
// are given as names. Only "git" is everybody's.
func hideUserinfo(b []byte) []byte {
	var out []byte
	for {
		_, rest, found := bytes.Cut(b, []byte("://"))
		if !found {
			return append(out, b...)
		}
		out = append(out, b[:len(b)-len(rest)]...)
		end := bytes.IndexAny(rest, authorityEnds)
		if end < 0 {
			end = len(rest)
		}
		// What is no part of a host may begin another URL.
		if at := bytes.LastIndexByte(rest[:end], '@'); at >= 0 && string(rest[:at]) != "git" {
			out, rest = append(out, stars...), rest[at:]
		}
		b = rest
	}
}
