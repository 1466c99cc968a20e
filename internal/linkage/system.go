package linkage

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"pinwheel/internal/farm"
)

// Where dpkg keeps a list of files for each package, and what changes with every
// installation, below a root.
const (
	dpkgLists  = "var/lib/dpkg/info"
	dpkgStatus = "var/lib/dpkg/status"
)

// System is what is installed below a root, by dpkg's own lists. They are read once, and
// again when something was installed. It may be used by several goroutines.
type System struct {
	root string

	mu    sync.Mutex
	seen  time.Time // of dpkg's status, when the lists were read
	size  int64
	found map[string][]place // by the name of the library
}

// place is where a package has a library.
type place struct{ folder, pkg string }

// NewSystem is the system below root, "/" for the machine's own. Nothing is read yet.
func NewSystem(root string) *System { return &System{root: root} }

// libraries looks for each name among the libraries of the system. The best place is one
// where the loader of a machine looks first; others are of alternatives, which stand in a
// folder of their own and are linked from there.
func (s *System) libraries(names []string, triple string) []farm.Library {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	out := map[string]string{}
	for _, name := range names {
		best := 0
		out[name] = ""
		for _, p := range s.found[name] {
			if n := rank(p.folder, triple); n > best {
				best, out[name] = n, p.pkg
			}
		}
	}
	return sorted(out)
}

// rank is how soon the loader finds a library in a folder; 0: never. Since the folders of
// /lib are those of /usr/lib, packages may call them by either name.
func rank(folder, triple string) int {
	below, ok := strings.CutPrefix(strings.TrimPrefix(folder, "/usr"), "/lib")
	switch below = strings.Trim(below, "/"); {
	case !ok:
		return 0
	case triple != "" && below == triple:
		return 4
	case below == "":
		return 3
	case triple != "" && strings.HasPrefix(below, triple+"/"):
		return 2
	case strings.Contains(strings.SplitN(below, "/", 2)[0], "-linux-"):
		return 0 // of another machine
	}
	return 1
}

// look reads the lists if they are others than before. The stamp comes first: what changes
// in between is seen at the next look. Without dpkg everything is an orphan.
func (s *System) look() {
	root, err := os.OpenRoot(s.root) // a link in it that leads out is not followed
	if err != nil {
		s.found = nil
		return
	}
	defer root.Close()
	info, err := root.Stat(dpkgStatus)
	if err != nil {
		s.found = nil
		return
	}
	if s.found != nil && info.ModTime().Equal(s.seen) && info.Size() == s.size {
		return
	}
	s.seen, s.size, s.found = info.ModTime(), info.Size(), map[string][]place{}
	entries, err := fs.ReadDir(root.FS(), dpkgLists)
	if err != nil {
		return
	}
	lines := bufio.NewReaderSize(nil, 64<<10)
	for _, e := range entries {
		stem, ok := strings.CutSuffix(e.Name(), ".list")
		pkg, _, _ := strings.Cut(stem, ":") // "libffi8:armhf"
		if !ok || !farm.ValidDebianName(pkg) || !e.Type().IsRegular() {
			continue
		}
		s.read(root, dpkgLists+"/"+e.Name(), pkg, lines)
	}
}

// read notes the libraries of one package. What cannot be read has none.
func (s *System) read(root *os.Root, path, pkg string, lines *bufio.Reader) {
	f, err := root.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	lines.Reset(f)
	for long := false; ; {
		line, err := lines.ReadSlice('\n')
		if !long && err == nil {
			s.note(bytes.TrimRight(line, "\n"), pkg)
		}
		long = errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !long { // io.EOF; of a card that fails, what was read counts
			return
		}
	}
}

// note keeps a line if it is a library's path: "/lib/TRIPLE/libc.so.6", also below /usr.
func (s *System) note(line []byte, pkg string) {
	at := bytes.LastIndexByte(line, '/')
	if at < 0 {
		return
	}
	name := line[at+1:]
	if !bytes.HasPrefix(name, []byte("lib")) && !bytes.HasPrefix(name, []byte("ld-")) || !bytes.Contains(name, []byte(".so")) {
		return
	}
	folder := string(line[:at])
	if !strings.HasPrefix(folder, "/lib") && !strings.HasPrefix(folder, "/usr/lib") {
		return
	}
	list := s.found[string(name)]
	if p := (place{folder, pkg}); !slices.Contains(list, p) {
		s.found[string(name)] = append(list, p)
	}
}
