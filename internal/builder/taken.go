package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/proxy"
)

// errUnopened says that no program of the build ever started: before that, its way out opens.
var errUnopened = errors.New("open the build's way out")

// withWay runs pip with a way out, and says what it took by it.
func (b Build) withWay(ctx context.Context, x *box, log *cappedLog) (end ending, taken proxy.Taken, err error) {
	if x.out, err = b.openWay(x); err != nil {
		return ending{}, proxy.Taken{}, err
	}
	if b.Recipe.Network == farm.NetworkNone {
		log.live = &shutter{shut: x.out.door.Shut, next: log.live}
	}
	end, err = x.execute(ctx, b.Limits, log, b.pipArgs(x))
	taken, unopened := x.out.close()
	if unopened != nil && x.root != HostRoot && loader(x.out.helper) != "" {
		unopened = fmt.Errorf("%w (%s is not linked statically: build it with CGO_ENABLED=0)", unopened, x.out.helper)
	}
	x.out = nil
	if err == nil && unopened != nil && end.stop.Cause == "" {
		said, _ := log.end(1 << 10) // what there is of it
		err = fmt.Errorf("%w: %w: %s", errUnopened, unopened, oneLine(string(said)))
	}
	return end, taken, err
}

// indexArgs leads pip to the indexes. Loopback needs no --trusted-host.
func (b Build) indexArgs(out *wayOut) []string {
	var argv []string
	for i, index := range b.indexes() {
		option := "--index-url"
		if i > 0 {
			option = "--extra-index-url"
		}
		argv = append(argv, option, out.index(index.Name))
	}
	return argv
}

// building is how pip says that it begins to build the wheel, when all that it takes
// from indexes has been taken: 19.0 and later, and before. The pip within, that installs
// what the build requires, says the same further in.
var building = regexp.MustCompile(`(?m)^ {0,2}(?:Running command )?(?:Building wheel for |Running setup\.py bdist_wheel for )`)

// shutter ends the network of a build when pip begins to build the wheel. A build that
// imitates pip's words loses it sooner.
type shutter struct {
	shut func()
	next io.Writer // nil: nobody
	last []byte    // the beginning of a line
}

// Write passes on what is said, and never fails itself.
func (s *shutter) Write(p []byte) (int, error) {
	if s.shut != nil {
		text := append(s.last, p...)
		if building.Match(text) {
			s.shut()
			s.shut = nil
		}
		line := text[strings.LastIndexByte(string(text), '\n')+1:]
		s.last = append([]byte(nil), line[:min(len(line), 1<<10)]...)
	}
	if s.next != nil {
		if _, err := s.next.Write(p); err != nil {
			s.next = nil
		}
	}
	return len(p), nil
}

// recordTaken notes what pip took: the sdist of the release, and all else as what it
// was built with.
func (b Build) recordTaken(r *farm.Record, taken proxy.Taken) {
	r.Contacts = taken.Contacts
	for _, f := range taken.Files {
		if b.isSdist(f.Name) {
			r.Sdist = farm.Sdist{Filename: f.Name, URL: f.URL, SHA256: f.SHA256, Size: f.Size}
			continue
		}
		if len(r.Requires) < maxRequires {
			name, version := nameOf(f.Name)
			r.Requires = append(r.Requires, farm.Requirement{Name: name, Version: version, File: f.Name, SHA256: f.SHA256})
		}
	}
}

// maxRequires bounds what a record has of requirements.
const maxRequires = 200

// stem is a source archive's file name without its ending; "" for anything else.
func stem(file string) string {
	for _, ending := range []string{".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz", ".tar.Z", ".tbz", ".tar"} {
		if s, ok := strings.CutSuffix(file, ending); ok {
			return s
		}
	}
	return ""
}

// isSdist says whether a file is a source archive of the release, also by the names
// that tools of before PEP 625 gave.
func (b Build) isSdist(file string) bool {
	s := stem(file)
	if s == "" {
		return false
	}
	if pep.NormalizeName(s) == pep.NormalizeName(b.Package+"-"+b.Version) {
		return true
	}
	name, err := pep.ParseSdistName(s + ".zip")
	want, wrong := pep.ParseVersion(b.Version)
	return err == nil && wrong == nil && pep.NormalizeName(name.Distribution) == pep.NormalizeName(b.Package) && name.Version.Equal(want)
}

// nameOf reads name and version out of a file name, as far as it has them.
func nameOf(file string) (name, version string) {
	if w, err := pep.ParseWheelName(file); err == nil {
		return w.Name(), w.Version.String()
	}
	s := stem(file)
	if n, err := pep.ParseSdistName(s + ".zip"); err == nil {
		return pep.NormalizeName(n.Distribution), n.Version.String()
	}
	return file, ""
}
