package main

import (
	"fmt"
	"strings"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
)

// importLines tell what came of importing a wheel's modules after its build: what
// worked, and what did not, warnings first. Empty: it was not tried.
func importLines(r farm.Record) (lines []string) {
	if r.Imports == nil {
		return nil
	}
	if len(r.Imports.Modules) > 0 {
		lines = append(lines, "imports: "+cli.Shown(strings.Join(r.Imports.Modules, ", ")))
	}
	for _, severity := range []string{farm.SeverityWarning, farm.SeverityInfo} {
		for _, f := range r.Imports.Findings {
			if f.Severity == severity {
				lines = append(lines, fmt.Sprintf("%s: %s (%s)", cli.Shown(strings.TrimSpace("import "+f.Entry)), cli.Shown(f.Message), cli.Shown(f.Code)))
			}
		}
	}
	return lines
}
