package pypitest

import (
	"fmt"
	"regexp"
	"strings"

	"pinwheel/internal/pep"
)

// plainText is what may stand in a version and in a file name here: whatever old tools wrote, and nothing that would
// change the path of an address.
var plainText = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+!-]*$`)

// hollowBytes are the content of a hollow file: small, and another for every name.
func hollowBytes(filename string) []byte {
	return []byte("hollow " + filename + "\n")
}

func hollowFile(name string) file {
	return file{name: name, sha256: hexSum(hollowBytes(name))}
}

// completeHollow checks a hollow description. Without Wheels it has a .tar.gz.
func (r Release) completeHollow() (Release, error) {
	switch {
	case !pep.ValidName(r.Name):
		return r, fmt.Errorf("add %q: not a valid project name (PEP 508)", r.Name)
	case !plainText.MatchString(r.Version):
		return r, fmt.Errorf("add %s==%s: no file could be named after this version", r.Name, r.Version)
	}
	if len(r.Formats) == 0 {
		r.Formats = []string{".tar.gz"}
	}
	return r, nil
}

// hollowFiles names files as the tools of each version's time did: the version as written in an sdist, in normal
// form in a wheel.
func (r Release) hollowFiles() []file {
	var files []file
	version := strings.ReplaceAll(r.Version, "-", "_")
	if v, err := pep.ParseVersion(r.Version); err == nil {
		version = v.String()
	}
	for _, tag := range r.Wheels {
		files = append(files, hollowFile(Module(r.Name)+"-"+version+"-"+tag+".whl"))
	}
	if r.NoSdist {
		return files
	}
	for _, format := range r.Formats {
		files = append(files, hollowFile(Module(r.Name)+"-"+r.Version+format))
	}
	return files
}
