package pypitest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// Parse reads descriptions in the txtar form. A section named NAME==VERSION holds lines "key: value"; sections
// below it, NAME==VERSION/path.py, are the modules of its wheel (without any, it gets one named like itself).
//
//	-- demo==1.0 --
//	kind: extension
//	requires-dist: peppercorn>=0.5
//	requires-python: >=3.7
//	-- demo==1.1 --
//	yanked: broken on Tuesdays
//	sdist: .tar.gz .zip
//	wheel: py3-none-any
//	-- demo==1.1/demo.py --
//	x = 1
//
// Keys: kind, summary, requires-dist and wheel (both repeatable), requires-python, yanked (the reason, or nothing),
// sdist (formats, or none), file (the path of an sdist that is served as it is), hollow (true or false), uploaded (RFC 3339), address, megabytes.
func Parse(text string) ([]Release, error) {
	var releases []Release
	for _, section := range txtar.Parse([]byte(text)).Files {
		title, module, isModule := strings.Cut(section.Name, "/")
		if isModule {
			last := len(releases) - 1
			if last < 0 || releases[last].Name+"=="+releases[last].Version != title {
				return nil, fmt.Errorf("section %q does not follow its release", section.Name)
			}
			if releases[last].Modules == nil {
				releases[last].Modules = map[string]string{}
			}
			releases[last].Modules[module] = string(section.Data)
			continue
		}
		r, err := parseRelease(title, string(section.Data))
		if err != nil {
			return nil, fmt.Errorf("section %q: %w", section.Name, err)
		}
		releases = append(releases, r)
	}
	return releases, nil
}

func parseRelease(title, lines string) (Release, error) {
	name, version, ok := strings.Cut(title, "==")
	if !ok {
		return Release{}, fmt.Errorf("want NAME==VERSION")
	}
	r := Release{Name: name, Version: version}
	for line := range strings.Lines(lines) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			return Release{}, fmt.Errorf("line %q: want key: value", line)
		}
		if err := r.set(key, strings.TrimSpace(value)); err != nil {
			return Release{}, fmt.Errorf("line %q: %w", line, err)
		}
	}
	return r, nil
}

func (r *Release) set(key, value string) (err error) {
	switch key {
	case "kind":
		r.Kind = Kind(value)
	case "summary":
		r.Summary = value
	case "requires-dist":
		r.RequiresDist = append(r.RequiresDist, value)
	case "requires-python":
		r.RequiresPython = value
	case "yanked":
		r.Yanked, r.YankReason = true, value
	case "sdist":
		r.NoSdist = value == "none"
		r.Formats = strings.Fields(value)
	case "file":
		r.File = value
	case "hollow":
		r.Hollow, err = strconv.ParseBool(value)
	case "wheel":
		r.Wheels = append(r.Wheels, value)
	case "uploaded":
		r.Uploaded, err = time.Parse(time.RFC3339, value)
	case "address":
		r.Address = value
	case "megabytes":
		r.Megabytes, err = strconv.Atoi(value)
	default:
		err = fmt.Errorf("unknown key %q", key)
	}
	return err
}
