package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"pinwheel/internal/pep"
)

// namesFile is what a file of names says.
type namesFile struct {
	names    []string // normalized (PEP 503), each once, in the file's order
	bad      int      // lines that are no names
	troubles []string // of the first of these: "names.txt:3: …"
}

const (
	longestNameLine = 4096 // bytes; the longest real name has about 90
	troublesTold    = 10
)

// readNames reads a file of names, one on a line; "-" is stdin. What follows a #
// is a comment.
func readNames(path string, stdin io.Reader) (namesFile, error) {
	if path == "-" {
		return parseNames("stdin", stdin)
	}
	f, err := os.Open(path)
	if err != nil {
		return namesFile{}, err
	}
	defer f.Close()
	return parseNames(path, f)
}

func parseNames(path string, r io.Reader) (namesFile, error) {
	var out namesFile
	seen := map[string]bool{}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, longestNameLine), longestNameLine)
	n := 0
	for lines.Scan() {
		n++
		text, _, _ := strings.Cut(strings.TrimPrefix(lines.Text(), "\ufeff"), "#")
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		if !pep.ValidName(text) {
			out.bad++
			if len(out.troubles) < troublesTold {
				out.troubles = append(out.troubles, fmt.Sprintf("%s:%d: %q is not a package name", path, n, cut(text, 60)))
			}
			continue
		}
		if name := pep.NormalizeName(text); !seen[name] {
			seen[name] = true
			out.names = append(out.names, name)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return out, fmt.Errorf("%s:%d: the line is longer than %d bytes; want one name on a line", path, n+1, longestNameLine)
	} else if err != nil {
		return out, fmt.Errorf("read %s: %w", path, err)
	}
	return out, nil
}
