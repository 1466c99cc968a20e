package buildlog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"regexp/syntax"
)

// window is how much of a log Search holds at once, and the longest line that it
// takes in one piece, in bytes.
const window = 256 << 10

// Search looks for a pattern in stored logs. It holds one window of one log at a
// time, however long the log is, and is for one goroutine.
type Search struct {
	re    *regexp.Regexp
	lines bool // no match goes beyond its line
	buf   []byte
}

// NewSearch makes a search for a pattern, in which ^ and $ mean what they mean in it.
func NewSearch(re *regexp.Regexp) *Search {
	parsed, err := syntax.Parse(re.String(), syntax.Perl)
	return &Search{re: re, lines: err == nil && withinLine(parsed), buf: make([]byte, window)}
}

// withinLine says whether a match of the pattern can hold no newline, and whether
// what stands beyond its line can make none of a match.
func withinLine(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpAnyChar, syntax.OpBeginText, syntax.OpEndText:
		return false
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			if r == '\n' {
				return false
			}
		}
	case syntax.OpCharClass:
		for i := 0; i < len(re.Rune); i += 2 {
			if re.Rune[i] <= '\n' && '\n' <= re.Rune[i+1] {
				return false
			}
		}
	}
	for _, sub := range re.Sub {
		if !withinLine(sub) {
			return false
		}
	}
	return true
}

// In says whether the pattern matches anywhere in the text of a stored log. A
// pattern that stays in its line, as nearly all do, is tried on whole lines, as many
// at once as the window holds; others are fed with the text character by
// character, which is exact as well, and slower. Errors are those of Text.
func (s *Search) In(ctx context.Context, stored io.ReadSeeker) (bool, error) {
	if s.lines {
		found, err := s.inLines(Text(ctx, stored))
		if !errors.Is(err, bufio.ErrTooLong) {
			return found, err
		}
		if _, err := stored.Seek(0, io.SeekStart); err != nil {
			return false, fmt.Errorf("read the log: %w", err)
		}
	}
	text := &remembered{r: Text(ctx, stored)}
	found := s.re.MatchReader(bufio.NewReaderSize(text, window))
	if !found && text.err != nil {
		return false, text.err
	}
	return found, nil
}

// inLines fails with bufio.ErrTooLong when a line is longer than the window.
func (s *Search) inLines(text io.Reader) (bool, error) {
	n := 0 // bytes of buf that are read
	for {
		m, err := text.Read(s.buf[n:])
		n += m
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if err == nil && n < len(s.buf) {
			continue
		}
		if err != nil { // the end
			return s.re.Match(s.buf[:n]), nil
		}
		whole := bytes.LastIndexByte(s.buf[:n], '\n')
		if whole < 0 {
			return false, bufio.ErrTooLong
		}
		// Without its last newline: behind it the next line begins, and no empty one.
		if s.re.Match(s.buf[:whole]) {
			return true, nil
		}
		n = copy(s.buf, s.buf[whole+1:n])
	}
}

// remembered keeps the error that whoever reads runes would swallow.
type remembered struct {
	r   io.Reader
	err error
}

func (r *remembered) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}
