package pypitest

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"

	"pinwheel/internal/pep"
)

// daemonMark is the argument by which a daemon is told from every other process.
func daemonMark(name, version string) string {
	return "pypitest-daemon:" + pep.NormalizeName(name) + "==" + version
}

// Daemons returns the process ids of the daemons that builds of this release have left behind, also those in PID
// namespaces below ours. Tests that run side by side name their projects differently.
func Daemons(name, version string) []int {
	mark := []byte("\x00" + daemonMark(name, version) + "\x00")
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is good
	var pids []int
	for _, path := range paths {
		line, err := os.ReadFile(path)
		if err != nil || !bytes.HasSuffix(line, mark) {
			continue // it ended meanwhile, or is another's
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
