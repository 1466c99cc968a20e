package agent

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// dpkgStatus is dpkg's database of what is installed: a text, which dpkg replaces
// whole.
const dpkgStatus = "/var/lib/dpkg/status"

// maxStatus is more than any machine's; what comes after is not read.
const maxStatus = 64 << 20 // bytes

// debian knows which Debian packages are installed in one root. Nothing
// is run for it. One without dpkg has none.
type debian struct {
	path string

	mu   sync.Mutex
	seen stamp    // of the file that list was read from
	list []string // what is installed
	told []string // the list that the master was told last
}

// stamp tells one state of a file from another.
type stamp struct {
	time time.Time
	size int64
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info.ModTime(), info.Size()}
}

// now is what is installed, for a hello.
func (d *debian) now() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look()
	d.told = d.list
	return d.list
}

// changed says whether it is another list than the one that was told last.
func (d *debian) changed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look()
	return !slices.Equal(d.list, d.told)
}

// look reads the file if it is another one than before: mostly it costs one question
// for its time.
func (d *debian) look() {
	// The stamp first: a change in between is seen at the next look.
	if now := stampOf(d.path); now != d.seen {
		d.seen, d.list = now, d.read()
	}
}

func (d *debian) read() []string {
	f, err := os.Open(d.path)
	if err != nil {
		return nil
	}
	defer f.Close()
	return installed(io.LimitReader(f, maxStatus))
}

// installed reads the names of the installed packages from dpkg's database, and of
// what they provide, for that is what apt takes as there: sorted, and no more than a
// hello may hold, those that are real first.
func installed(r io.Reader) []string {
	var names, provided []string
	var p paragraph
	end := func() {
		if p.installed && farm.ValidDebianName(p.name) {
			names = append(names, p.name)
			provided = append(provided, p.provides...)
		}
		p = paragraph{}
	}
	// Line by line in one buffer: a small machine's database has megabytes.
	lines := bufio.NewReaderSize(r, 64<<10)
	for within := false; ; {
		line, err := lines.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		switch line = bytes.TrimRight(line, "\r\n"); {
		case within || long: // no field that matters is so long
		case len(line) == 0:
			end()
		default:
			p.field(line)
		}
		within = long
		if err != nil && !long { // io.EOF; of a card that fails, what was read counts
			end()
			return bounded(names, provided)
		}
	}
}

// paragraph is what matters of one package in dpkg's database.
type paragraph struct {
	name      string
	installed bool
	provides  []string
}

func (p *paragraph) field(line []byte) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return
	}
	switch value = bytes.TrimSpace(value); string(name) {
	case "Package":
		p.name = string(value)
	case "Status": // "install ok installed": wanted, sound, there
		p.installed = bytes.HasSuffix(value, []byte(" installed"))
	case "Provides":
		for entry := range strings.SplitSeq(string(value), ",") {
			provided, _, _ := strings.Cut(strings.TrimSpace(entry), " ") // "libfoo-dev (= 1.2)"
			provided, _, _ = strings.Cut(provided, ":")                  // "libfoo-dev:any"
			if farm.ValidDebianName(provided) {
				p.provides = append(p.provides, provided)
			}
		}
	}
}

// bounded sorts, and keeps to what the wire allows.
func bounded(lists ...[]string) []string {
	have, size := map[string]bool{}, 0
	for _, list := range lists {
		slices.Sort(list)
		for _, name := range list {
			if have[name] {
				continue
			}
			if len(have) == bus.MaxPackages || size+len(name) > bus.MaxPackageBytes {
				break
			}
			have[name], size = true, size+len(name)
		}
	}
	out := make([]string, 0, len(have))
	for name := range have {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
