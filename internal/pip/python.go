package pip

import (
	"fmt"

	"pinwheel/internal/farm"
)

// Python is an interpreter that was asked what it is.
type Python struct {
	Path     string   `json:"path"`     // absolute, of the interpreter itself: no shim
	Version  string   `json:"version"`  // "3.11.2"
	Pip      string   `json:"pip"`      // pip's version, "23.0.1"
	ABI      string   `json:"abi"`      // "cp311" (PEP 425)
	Platform string   `json:"platform"` // "linux_x86_64" (PEP 425)
	Glibc    string   `json:"glibc"`    // "2.36", "" where the C library is another
	Codename string   `json:"codename"` // of the operating system: "bookworm"
	OS       string   `json:"os"`       // its full name: "Debian GNU/Linux 12 (bookworm)"
	Prefixes []string `json:"prefixes"` // folders in which it is installed, or its venv
	Include  string   `json:"include"`  // where Python.h should be
	CC       string   `json:"cc"`       // the compiler that its extensions ask for

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

// usable says why pip of this interpreter cannot serve the farm.
func (py Python) usable(venv bool) error {
	switch {
	case py.Pip == "":
		return fmt.Errorf("%s: has no pip (apt install python3-pip)", py.Path)
	case !venv:
		return fmt.Errorf("%s: has no venv (apt install python3-venv)", py.Path)
	}
	if _, err := farm.ParseTarget(py.ABI + "-" + py.Platform); err != nil {
		return fmt.Errorf("%s: not a CPython on Linux: %w", py.Path, err)
	}
	return nil
}
