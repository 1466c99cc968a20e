package pip

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"pinwheel/internal/farm"
)

//go:embed probe.py
var probeScript string

// ProbeScript is the program that an interpreter is given with -c to say what it is;
// it runs on every Python from 2.7 on. Whoever can start one where this package
// cannot, as in another root, hands what it printed to ReadAnswer.
func ProbeScript() string { return probeScript }

// errNoAnswer says that an interpreter ran and did not say what it is.
var errNoAnswer = errors.New("does not say what it is")

// ReadAnswer reads what the interpreter at path said to ProbeScript, its last line.
// The error is one line that starts with the path, also when it is of no use to the
// farm.
func ReadAnswer(path, output string) (Python, error) {
	var answer struct {
		Python
		Bits    int    `json:"bits"`    // of a pointer
		Machine string `json:"machine"` // the platform that it names by itself
	}
	lines := strings.Split(strings.TrimSpace(output), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &answer); err != nil {
		return Python{}, fmt.Errorf("%s: %w: %s", path, errNoAnswer, lastLines(output))
	}
	py := answer.Python
	py.Path, py.Platform = path, platform(answer.Machine, answer.Bits)
	if py.Platform != answer.Machine {
		py.HostPlatform = strings.Replace(py.Platform, "linux_", "linux-", 1)
	}
	return py, py.usable()
}

// platform is the platform tag of wheels that an interpreter of so many bits builds.
// It asks the kernel, and one for 64 bits names itself, or what it would be in 32:
// armv8l, of which no index knows.
func platform(machine string, bits int) string {
	if machine == "linux_armv8l" {
		return "linux_armv7l"
	}
	if bits != 32 {
		return machine
	}
	small := map[string]string{"linux_x86_64": "linux_i686", "linux_aarch64": "linux_armv7l"}
	if name, ok := small[machine]; ok {
		return name
	}
	return machine
}

// Declared holds what an operator says that an interpreter builds for against what
// it said itself. The zero Target says nothing.
func (py Python) Declared(t farm.Target) error {
	if t != (farm.Target{}) && t != py.Target() {
		return fmt.Errorf("declared as %s, but %s builds for %s", t, py.Path, py.Target())
	}
	return nil
}
