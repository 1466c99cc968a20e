package pip

import (
	"fmt"
	"strings"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
)

// Python is an interpreter that was asked what it is. Every path is as the
// interpreter sees it: below the root that it was asked in.
type Python struct {
	Path     string   `json:"path"`     // absolute, of the interpreter itself: no shim
	Version  string   `json:"version"`  // "3.11.2"
	Pip      string   `json:"pip"`      // pip's version, "23.0.1"
	Venv     bool     `json:"venv"`     // it can make environments: no Python 2 can
	Wheel    bool     `json:"wheel"`    // it has the packages setuptools and wheel
	ABI      string   `json:"abi"`      // "cp311", "cp27mu" (PEP 425)
	Platform string   `json:"platform"` // "linux_x86_64" (PEP 425)
	Glibc    string   `json:"glibc"`    // "2.36", "" where the C library is another
	Codename string   `json:"codename"` // of the operating system: "bookworm"
	OS       string   `json:"os"`       // its full name: "Debian GNU/Linux 12 (bookworm)"
	Prefixes []string `json:"prefixes"` // folders in which it is installed, or its venv
	Include  string   `json:"include"`  // where Python.h should be
	CC       string   `json:"cc"`       // the compiler that its extensions ask for

	// HostPlatform is what the interpreter must be told that it runs on, "" where it
	// sees that itself: "linux-armv7l" for one of 32 bits whose kernel has 64.
	HostPlatform string `json:"-"`

	// Bundle is the file of certificates that pip here is told to trust, ""
	// when it uses its own (Find fills it from the caller's settings).
	Bundle string `json:"-"`
}

// Target is where wheels built with this interpreter run.
func (py Python) Target() farm.Target {
	return farm.Target{ABI: py.ABI, Platform: py.Platform}
}

// Facts are what this interpreter says of its operating system.
func (py Python) Facts() farm.Facts {
	return farm.Facts{Python: py.Version, Glibc: py.Glibc, Codename: py.Codename}
}

// isPython2 says that it is of the line that ended in 2020.
func (py Python) isPython2() bool { return strings.HasPrefix(py.Version, "2.") }

// usable says why pip of this interpreter cannot serve the farm.
func (py Python) usable() error {
	name := "python3"
	if py.isPython2() {
		name = "python"
	}
	switch {
	case py.Pip == "":
		return fmt.Errorf("%s: has no pip (apt install %s-pip)", py.Path, name)
	case !py.pipIs("9"):
		return fmt.Errorf("%s: has pip %s, at least 9 is needed (pip install --upgrade pip)", py.Path, py.Pip)
	case !py.Venv && !py.isPython2():
		return fmt.Errorf("%s: has no venv (apt install python3-venv)", py.Path)
	}
	if _, err := farm.ParseTarget(py.ABI + "-" + py.Platform); err != nil {
		return fmt.Errorf("%s: not a CPython on Linux: %w", py.Path, err)
	}
	return nil
}

// CanBuild says why this pip would fail with most sdists by no fault of theirs: one
// before 23.1 runs their setup.py with what is installed beside it.
func (py Python) CanBuild() error {
	if py.Wheel || py.pipIs("23.1") {
		return nil
	}
	name := "python3"
	if py.isPython2() {
		name = "python"
	}
	return fmt.Errorf("%s: pip %s builds wheels with the packages setuptools and wheel only (apt install %s-setuptools %s-wheel, or pip install them)", py.Path, py.Pip, name, name)
}

// pipIs says whether its pip is of that version or a later one.
func (py Python) pipIs(first string) bool {
	have, err := pep.ParseVersion(py.Pip)
	if err != nil {
		return false
	}
	want, err := pep.ParseVersion(first)
	return err == nil && have.Compare(want) >= 0
}

// WheelOptions are those of `pip wheel` that a build wants, as far as this pip knows
// them: an older one refuses what it does not know.
func (py Python) WheelOptions() []string {
	var options []string
	if py.pipIs("10") {
		options = append(options, "--progress-bar", "off")
	}
	if py.pipIs("18") {
		options = append(options, "--prefer-binary")
	}
	return options
}
