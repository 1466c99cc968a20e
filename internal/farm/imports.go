package farm

import "strings"

// Imports is what came of importing a wheel's top-level modules after its build, in
// a fresh environment without network and without what the wheel depends on
// (decision 35).
type Imports struct {
	Seconds  float64   `json:"seconds"`  // that it took
	Modules  []string  `json:"modules"`  // that can be imported
	Findings []Finding `json:"findings"` // about the others
}

// The severities of a Finding.
const (
	SeverityInfo    = "info"    // as it should be, or nobody's fault
	SeverityWarning = "warning" // whoever installs the wheel may meet it
)

// Finding is one thing that was noticed about a wheel.
type Finding struct {
	Code     string `json:"code"`     // stable short words in kebab case
	Severity string `json:"severity"` // "info" or "warning"
	Entry    string `json:"entry"`    // what it is about: a module
	Message  string `json:"message"`  // one printable line
}

// Codes of import tests.
const (
	ImportNeeds           = "import-needs"            // a module that is not in the wheel: a dependency
	ImportFailed          = "import-failed"           // an exception of its own
	ImportMissingLibrary  = "import-missing-library"  // a shared library that this system does not have
	ImportUndefinedSymbol = "import-undefined-symbol" // an extension that was not linked as it should be
	ImportCrashed         = "import-crashed"          // the process ended
	ImportTimeout         = "import-timeout"          //
	ImportNotTried        = "import-not-tried"        // the test itself did not come to its end
)

// Bounds of Imports: a report has room for them, however much of it is escaped.
const (
	maxImported = 40
	maxFindings = 20
	maxEntry    = 100 // bytes
	maxMessage  = 240 // bytes
)

// Bound cuts to size what a package said about itself, in printable lines.
func (i Imports) Bound() Imports {
	out := Imports{Seconds: i.Seconds, Modules: []string{}, Findings: []Finding{}}
	if !(out.Seconds >= 0 && out.Seconds < 1e6) { // NaN too
		out.Seconds = 0
	}
	for _, m := range i.Modules[:min(len(i.Modules), maxImported)] {
		out.Modules = append(out.Modules, boundLine(m, maxEntry))
	}
	for _, f := range i.Findings[:min(len(i.Findings), maxFindings)] {
		if f.Severity != SeverityInfo {
			f.Severity = SeverityWarning
		}
		out.Findings = append(out.Findings, Finding{boundLine(f.Code, maxEntry), f.Severity, boundLine(f.Entry, maxEntry), boundLine(f.Message, maxMessage)})
	}
	return out
}

func boundLine(s string, most int) string {
	return clip(strings.Join(strings.Fields(Clean(s)), " "), most)
}
