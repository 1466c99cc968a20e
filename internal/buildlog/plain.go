package buildlog

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// plain takes out of a stream of bytes what is no text.
type plain struct {
	mode mode
	seq  []byte // of the sequence under way, without what began it
	rest []byte // the first bytes of a character
	cr   bool   // the last byte was a carriage return
}

// mode is where a stream stands in a terminal's sequence.
type mode int

const (
	ground  mode = iota
	escape       // after ESC
	control      // in CSI
	command      // in OSC, DCS, SOS, PM or APC, up to its end
)

// A sequence that does not end in its line, or after so many bytes, is none: it is
// shown as text. pip takes the end of some away.
const (
	maxControl = 64
	maxCommand = 4 << 10
)

// append appends the text of src to dst.
func (p *plain) append(dst, src []byte) []byte {
	if len(p.rest) > 0 {
		src = append(p.rest, src...)
		p.rest = nil
	}
	for len(src) > 0 {
		if p.mode != ground {
			if p.sequence(src[0]) {
				src = src[1:]
				continue
			}
			dst = p.unfinished(dst)
		}
		if c := src[0]; c < utf8.RuneSelf {
			dst, src = p.ascii(dst, c), src[1:]
			continue
		}
		if !utf8.FullRune(src) {
			p.rest = bytes.Clone(src)
			return dst
		}
		p.cr = false
		r, size := utf8.DecodeRune(src)
		if !unicode.IsControl(r) && !unicode.Is(unicode.Bidi_Control, r) {
			dst = utf8.AppendRune(dst, r) // of what is no character, U+FFFD
		}
		src = src[size:]
	}
	return dst
}

// end appends what is left when nothing follows.
func (p *plain) end(dst []byte) []byte {
	dst = p.broken(p.unfinished(dst))
	*p = plain{}
	return dst
}

// unfinished appends the text of a sequence that turned out to be none.
func (p *plain) unfinished(dst []byte) []byte {
	text := p.seq
	p.mode, p.seq = ground, nil
	if len(text) == 0 {
		return dst
	}
	return p.broken(p.append(dst, text))
}

// broken appends what stands for a character that is not whole.
func (p *plain) broken(dst []byte) []byte {
	if len(p.rest) > 0 {
		dst = utf8.AppendRune(dst, utf8.RuneError)
	}
	p.rest = nil
	return dst
}

func (p *plain) ascii(dst []byte, c byte) []byte {
	switch after := p.cr; {
	case c == '\r':
		p.cr = true
		return append(dst, '\n')
	case c == '\n' && after: // one end of line in two characters
		p.cr = false
		return dst
	}
	p.cr = false
	switch {
	case c == 0x1b:
		p.mode, p.seq = escape, nil
	case c == '\n' || c == '\t' || c >= ' ' && c != 0x7f:
		return append(dst, c)
	}
	return dst
}

// sequence says whether c belongs to the sequence under way. If not, what there was of
// it is left in seq.
func (p *plain) sequence(c byte) bool {
	switch {
	case p.mode == escape:
		return p.escaped(c)
	case p.mode == control && c >= 0x40 && c <= 0x7e, p.mode == command && c == 0x07:
		p.mode, p.seq = ground, nil
		return true
	case p.mode == command && c == 0x1b: // and a backslash
		p.mode, p.seq = escape, nil
		return true
	case p.mode == control && (c < 0x20 || c > 0x3f || len(p.seq) == maxControl),
		p.mode == command && (c == '\n' || len(p.seq) == maxCommand):
		return false
	}
	p.seq = append(p.seq, c)
	return true
}

func (p *plain) escaped(c byte) bool {
	switch {
	case c == '[':
		p.mode = control
	case c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_':
		p.mode = command
	case c >= 0x20 && c <= 0x2f || c == 0x1b: // more to come
	case c > 0x20 && c <= 0x7e:
		p.mode = ground
	default:
		return false
	}
	return true
}
