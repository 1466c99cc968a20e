package pypi

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"unicode/utf8"
)

// unreadable stands in for what XML has no place for. No name of a project holds it.
const unreadable = '?'

// legible makes XML of what is nearly XML: control characters, also as references (&#1;), and broken UTF-8 become
// question marks. Otherwise one project's odd bytes would hide all events of a page, and with them all that come
// after it, for ever. It is a ByteReader because the decoder then reads it byte by byte and adds no buffer.
type legible struct {
	r       *bufio.Reader
	through int // bytes of a rune that has been found good
}

func newLegible(r io.Reader) *legible { return &legible{r: bufio.NewReaderSize(r, 32<<10)} }

func (l *legible) ReadByte() (byte, error) {
	b, err := l.r.ReadByte()
	switch {
	case err != nil:
		return 0, err
	case l.through > 0:
		l.through--
		return b, nil
	case b == '&':
		return l.reference(), nil
	case b >= utf8.RuneSelf:
		return l.rune(b), nil
	case !isXML(rune(b)):
		return unreadable, nil
	}
	return b, nil
}

// Read is there to make it a Reader too.
func (l *legible) Read(p []byte) (int, error) {
	for i := range p {
		b, err := l.ReadByte()
		if err != nil {
			return i, err
		}
		p[i] = b
	}
	return len(p), nil
}

// reference looks at what follows an ampersand, and passes over a reference to a character that may not be.
func (l *legible) reference() byte {
	ahead, _ := l.r.Peek(12) // shorter at the end
	body, _, found := bytes.Cut(ahead, []byte(";"))
	digits, numeric := bytes.CutPrefix(body, []byte("#"))
	if !found || !numeric {
		return '&'
	}
	base := 10
	if hex, ok := bytes.CutPrefix(digits, []byte("x")); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(string(digits), base, 32)
	if err == nil && n <= utf8.MaxRune && isXML(rune(n)) {
		return '&'
	}
	_, _ = l.r.Discard(len(body) + 1) // it has been peeked at
	return unreadable
}

// rune looks whether a byte begins a good rune.
func (l *legible) rune(first byte) byte {
	rest, _ := l.r.Peek(utf8.UTFMax - 1) // shorter at the end
	whole := append([]byte{first}, rest...)
	r, size := utf8.DecodeRune(whole)
	if (r == utf8.RuneError && size == 1) || !isXML(r) {
		return unreadable
	}
	l.through = size - 1
	return first
}

// isXML is the production Char of XML 1.0.
func isXML(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || (r >= 0x20 && r <= 0xD7FF) || (r >= 0xE000 && r <= 0xFFFD) || (r >= 0x10000 && r <= utf8.MaxRune)
}
