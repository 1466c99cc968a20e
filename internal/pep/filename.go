package pep

import (
	"errors"
	"fmt"
	"strings"
)

// maxFilename is what file systems and the store allow, in bytes.
const maxFilename = 255

// WheelName is what the file name of a wheel says (PEP 427).
type WheelName struct {
	Distribution string // as written; Name gives the normal form
	Version      Version
	RawVersion   string // as written
	Build        string // as written, starts with a digit; empty when there is none
	Tags         []Tag  // every tag the three parts below stand for
	// The last three parts, as written: compressed sets, "py2.py3".
	PythonTag, ABITag, PlatformTag string
}

// Name returns the project's normalized name (PEP 503).
func (w WheelName) Name() string { return NormalizeName(w.Distribution) }

// Filename puts the file name together again, as it was written.
func (w WheelName) Filename() string {
	parts := []string{w.Distribution, w.RawVersion}
	if w.Build != "" {
		parts = append(parts, w.Build)
	}
	return strings.Join(append(parts, w.PythonTag, w.ABITag, w.PlatformTag), "-") + ".whl"
}

// ParseWheelName reads the file name of a wheel (PEP 427). It is stricter than
// the reference: at most 255 bytes, and nothing but ASCII letters, digits and
// the signs that a part may hold, so that the name is safe in a path, a page and
// a shell.
func ParseWheelName(filename string) (WheelName, error) {
	w, err := splitWheelName(filename)
	if err == nil {
		err = w.interpret()
	}
	if err != nil {
		return WheelName{}, fmt.Errorf("wheel file name %s: %w", quote(filename), err)
	}
	return w, nil
}

// splitWheelName fills the parts that are text.
func splitWheelName(filename string) (WheelName, error) {
	if len(filename) > maxFilename {
		return WheelName{}, fmt.Errorf("longer than %d bytes", maxFilename)
	}
	stem, ok := strings.CutSuffix(filename, ".whl")
	if !ok {
		return WheelName{}, errors.New("want the ending .whl")
	}
	parts := strings.Split(stem, "-")
	n := len(parts)
	if n != 5 && n != 6 {
		return WheelName{}, errors.New("want five or six parts with dashes between")
	}
	w := WheelName{
		Distribution: parts[0], RawVersion: parts[1],
		PythonTag: parts[n-3], ABITag: parts[n-2], PlatformTag: parts[n-1],
	}
	if n == 6 {
		if w.Build = parts[2]; w.Build == "" {
			return WheelName{}, errors.New("the build number is empty")
		}
	}
	return w, nil
}

// interpret checks the parts and fills the ones that have a meaning.
func (w *WheelName) interpret() (err error) {
	// Two underscores never come out of PEP 427's escaping, one stands for any run.
	if w.Distribution == "" || !only(w.Distribution, "._") || strings.Contains(w.Distribution, "__") {
		return fmt.Errorf("%s is not an escaped project name", quote(w.Distribution))
	}
	var ok bool
	if w.Version, ok = scanVersion(w.RawVersion); !ok {
		return fmt.Errorf("version %s is not in the form of PEP 440", quote(w.RawVersion))
	}
	if w.Build != "" && (!isDigit(w.Build[0]) || !only(w.Build, "._+")) {
		return fmt.Errorf("build number %s: want a digit, then letters, digits and ._+", quote(w.Build))
	}
	w.Tags, err = ParseTags(w.PythonTag + "-" + w.ABITag + "-" + w.PlatformTag)
	return err
}

// SdistName is what the file name of an sdist says.
type SdistName struct {
	Distribution string // as written; NormalizeName gives the normal form
	Version      Version
}

// ParseSdistName reads the file name of an sdist, .tar.gz or .zip. The version
// begins after the last dash, so the file names of old tools, with a dash in
// the version, give an error or another name: the caller compares the name with
// the one he expects. As in the reference, the name may be any text.
func ParseSdistName(filename string) (SdistName, error) {
	stem, ok := strings.CutSuffix(filename, ".tar.gz")
	if !ok {
		stem, ok = strings.CutSuffix(filename, ".zip")
	}
	if !ok {
		return SdistName{}, fmt.Errorf("sdist file name %s: want the ending .tar.gz or .zip", quote(filename))
	}
	dash := strings.LastIndexByte(stem, '-')
	if dash < 1 {
		return SdistName{}, fmt.Errorf("sdist file name %s: want a name, a dash and a version", quote(filename))
	}
	v, err := ParseVersion(stem[dash+1:])
	if err != nil {
		return SdistName{}, fmt.Errorf("sdist file name %s: %w", quote(filename), err)
	}
	return SdistName{Distribution: stem[:dash], Version: v}, nil
}
