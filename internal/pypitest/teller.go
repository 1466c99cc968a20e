package pypitest

import (
	"fmt"
	"slices"
	"strings"

	"pinwheel/internal/pep"
)

// Teller makes up a story, line by line; the same choices make the same story.
type Teller struct {
	// Pick returns a number from 0 to n-1: rand.IntN, or the draw of a property test.
	Pick func(n int) int
	// Names are those of the projects that it tells of, as they are first spelled. Default: a few.
	Names []string
	// Silent allows changes that no event tells, as PyPI's archiving: a reader learns of them when it reads the page
	// for another reason.
	Silent bool
}

// Next does one thing that is possible now, and returns its line of a script (see [Server.Tell]).
func (t Teller) Next(s *Server) (string, error) {
	names := t.Names
	if len(names) == 0 {
		names = []string{"demo", "Demo.Two", "a-b_c", "solo", "z9"}
	}
	name := t.of(names)
	line := t.line(name, s.look(name))
	return line, s.Tell(line)
}

// look is a copy of a project; nil: no such project.
func (s *Server) look(name string) *project {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.projects[pep.NormalizeName(name)]; p != nil {
		return p.clone()
	}
	return nil
}

func (t Teller) of(words []string) string { return words[t.Pick(len(words))] }

func (t Teller) line(name string, p *project) string {
	if p == nil {
		return t.of([]string{"create " + name, t.release(name), t.release(name), "event " + name + " - docupdate"})
	}
	switch n := t.Pick(20); {
	case n < 6 || len(p.releases) == 0 && n < 14:
		return t.release(t.spelling(name))
	case n < 14:
		return t.aboutRelease(name, p)
	case n == 14:
		return t.extra(name, p)
	case n == 15:
		return "remove " + name
	case n == 16:
		return "rename " + name + " " + t.spelling(name)
	case n == 17 && p.status == StatusQuarantined:
		return "clear " + name
	case n == 17:
		return "quarantine " + name + t.of([]string{"", " malware <&> ünd so"})
	case n == 18 && t.Silent && p.status != StatusQuarantined:
		return "status " + name + " " + t.of([]string{"active", "archived since then", "deprecated"})
	}
	return t.of([]string{ // the project as it is written now
		"event " + p.display + " - docupdate", "event " + p.display + " - add Owner somebody",
		"event " + p.display + " 1.0 update classifiers", "event nobody-knows 1.0 new release",
	})
}

// aboutRelease changes one release that is there.
func (t Teller) aboutRelease(name string, p *project) string {
	r := p.releases[t.Pick(len(p.releases))]
	at := name + " " + r.Version
	switch t.Pick(6) {
	case 0:
		return "yank " + at + t.of([]string{"", " broken on <Tuesdays> & \"more\""})
	case 1:
		return "unyank " + at
	case 2:
		return "remove " + at
	case 3:
		return t.of([]string{"quarantine-release ", "clear "}) + at
	case 4:
		if len(r.files) > 0 {
			return "remove-file " + name + " " + r.files[t.Pick(len(r.files))].name
		}
	}
	return "release " + at + " " + t.of([]string{".tar.gz", ".zip", "py3-none-any", "cp311-cp311-linux_armv7l"})
}

// extra makes what is rare: releases without files, files that pip never takes, many at once.
func (t Teller) extra(name string, p *project) string {
	version := fmt.Sprintf("7.%d", len(p.releases))
	if p.find(version) != nil || p.find("1.0.0") != nil {
		return "event " + p.display + " - update description"
	}
	many := "many " + name + " 3"
	if p.find("1.0.1") != nil || p.find("1.0.2") != nil { // the first was removed since
		many = "event " + p.display + " - update description"
	}
	return t.of([]string{
		"empty " + name + " " + version, many,
		"file " + name + " " + version + " " + Module(name) + "-" + version + fmt.Sprintf("-py2.7-%d.egg", len(p.releases)),
	})
}

func (t Teller) release(name string) string {
	return strings.Join([]string{
		"release", name,
		t.of([]string{"1.0", "1.0.0", "1.1", "1.2", "2.0-beta", "2.0b0", "1!0.5", "2.0.alpha-x_y", "dev-r12", "3.0.post1", "10"}),
		t.of([]string{"", ".tar.gz", ".zip .tar.gz", "py3-none-any", "cp311-cp311-linux_armv7l .tar.gz", "py2-none-any py3-none-any"}),
		t.of([]string{"", "", "python=>=3.7", "python=<3", "python=any<&>\"text\""}),
	}, " ")
}

// spelling is one of the ways to write a name.
func (t Teller) spelling(name string) string {
	normal := pep.NormalizeName(name)
	return t.of(slices.Compact([]string{name, normal, strings.ToUpper(normal), strings.ReplaceAll(normal, "-", "__")}))
}
