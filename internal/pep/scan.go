package pep

import "strings"

// scanner reads a version from left to right. PEP 440's regular expression needs
// no way back: whatever a part could take, no later part could use, except a
// separator that turns out to belong to the next part.
type scanner struct{ rest string }

// scanVersion reads the whole of s, which has no white space, as a version.
func scanVersion(s string) (Version, bool) {
	if !isASCII(s) {
		return Version{}, false // else letters like the Kelvin sign fold into ASCII
	}
	p := scanner{strings.ToLower(s)}
	v, ok := p.version()
	return v, ok && p.rest == ""
}

func (p *scanner) version() (v Version, ok bool) {
	p.word("v")
	if v.epoch, v.release = p.base(); len(v.release) == 0 {
		return v, false
	}
	var word string
	if word, v.pre = p.part("alpha", "a", "beta", "b", "preview", "pre", "c", "rc"); word != "" {
		v.phase = phaseOf(word)
	}
	if v.post = p.implicitPost(); v.post == "" {
		_, v.post = p.part("post", "rev", "r")
	}
	_, v.dev = p.part("dev")
	v.local, ok = p.local()
	return v, ok
}

// base reads epoch and release; no release means that there is none to read.
func (p *scanner) base() (epoch number, release []number) {
	epoch, first := zero, p.number()
	if first != "" && p.word("!") != "" {
		epoch, first = first, p.number()
	}
	if first == "" {
		return epoch, nil
	}
	release = append(release, first)
	for len(p.rest) > 1 && p.rest[0] == '.' && isDigit(p.rest[1]) {
		p.rest = p.rest[1:]
		release = append(release, p.number())
	}
	return epoch, release
}

// part reads a separator, one of the words, a separator and a number, of which
// only the word must be there. Longer words stand before their prefixes.
func (p *scanner) part(words ...string) (word string, n number) {
	start := p.rest
	p.separator()
	if word = p.word(words...); word == "" {
		p.rest = start
		return "", ""
	}
	p.separator()
	if n = p.number(); n == "" {
		n = zero
	}
	return word, n
}

// implicitPost reads the old spelling of a post-release: 1.0-1.
func (p *scanner) implicitPost() number {
	if len(p.rest) > 1 && p.rest[0] == '-' && isDigit(p.rest[1]) {
		p.rest = p.rest[1:]
		return p.number()
	}
	return ""
}

// local reads the local part, if there is one; ok is false when it is broken.
func (p *scanner) local() (segments []string, ok bool) {
	if p.word("+") == "" {
		return nil, true
	}
	for {
		segment := p.while(isAlnum)
		if segment == "" {
			return nil, false
		}
		if isDigits(segment) {
			segment = string(newNumber(segment))
		}
		segments = append(segments, segment)
		if !p.separator() {
			return segments, true
		}
	}
}

func (p *scanner) number() number { return newNumber(p.while(isDigit)) }

// while takes the bytes at the front that satisfy is.
func (p *scanner) while(is func(byte) bool) string {
	i := 0
	for i < len(p.rest) && is(p.rest[i]) {
		i++
	}
	taken := p.rest[:i]
	p.rest = p.rest[i:]
	return taken
}

// word takes the first of words that stands at the front.
func (p *scanner) word(words ...string) string {
	for _, w := range words {
		if rest, ok := strings.CutPrefix(p.rest, w); ok {
			p.rest = rest
			return w
		}
	}
	return ""
}

func (p *scanner) separator() bool { return p.word("-", "_", ".") != "" }

// phaseOf translates the spellings of a phase into the normal one.
func phaseOf(word string) string {
	switch word {
	case "alpha", "a":
		return "a"
	case "beta", "b":
		return "b"
	}
	return "rc"
}

func isDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}
