package bus

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"pinwheel/internal/farm"
)

// Limits on what one message may hold. A slave that keeps to this package never
// meets them: what is free text is cut before it is sent.
const (
	MaxExcerpt  = 2 << 10  // bytes of Report.Excerpt
	MaxLogChunk = 64 << 10 // bytes of LogChunk.Data
	// MaxLogInside is the largest log that travels in its report: longer messages would
	// keep the heartbeats behind them waiting (docs/decisions/0022-small-logs.md).
	MaxLogInside = 8 << 10 // bytes of Report.LogData
	MaxHeld      = 256     // leases of one slave
	MaxTargets   = 64      // targets of one slave
	MaxWheels    = 16      // wheels of one build
	MaxFile      = 8 << 30 // bytes of one file

	MaxRequires = 256 // files that one build took beside the sdist
	MaxContacts = 128 // hosts that one build spoke to

	MaxPackages     = 8192      // Debian packages in one list of a slave
	MaxPackageBytes = 160 << 10 // bytes of the names in all lists of a slave

	MaxELF       = 100 // ELF files in a build's record
	MaxLibraries = 100 // and libraries

	MaxText = 1 << 10 // bytes of any other text
	maxWord = 128     // bytes of a token, a version, a fact
)

// Not by expressions with so many repetitions: their compiling is a fifth of a slave's
// way to main, which each of its builds takes once more, as the helper in its sandbox.

// isWord says whether s is 1 to maxWord printable characters of ASCII.
func isWord(s string) bool {
	return s != "" && len(s) <= maxWord && !strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' })
}

// isFileName says whether s is 1 to 255 characters without slashes or control characters.
func isFileName(s string) bool {
	n := utf8.RuneCountInString(s)
	return n > 0 && n <= 255 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == '/' || r == '\x7f' })
}

func isSHA256(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// isKind says whether s is one word of 1 to 64 of a-z, 0-9 and -.
func isKind(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// checker collects the first thing that is wrong with a message, so that the
// checks below read as a table.
type checker struct{ err error }

func (c *checker) want(ok bool, format string, args ...any) {
	if !ok && c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *checker) word(field, s string) {
	c.want(isWord(s), "%s %.40q: want 1 to %d printable characters", field, s, maxWord)
}

// text refuses NUL because Postgres cannot store it.
func (c *checker) text(field, s string, limit int) {
	c.want(len(s) <= limit, "%s has %d bytes, at most %d are allowed", field, len(s), limit)
	c.want(!strings.ContainsRune(s, 0), "%s holds a NUL", field)
}

func (c *checker) size(field string, n int64) {
	c.want(n >= 0, "%s is %d, less than nothing", field, n)
}

func (c *checker) number(field string, f float64) {
	c.want(math.Abs(f) < 1e9, "%s is %g", field, f)
}

func (c *checker) words(field string, list []string) {
	c.want(len(list) <= MaxHeld, "%s has %d entries, at most %d are allowed", field, len(list), MaxHeld)
	for _, s := range list {
		c.word(field, s)
	}
}

func (c *checker) target(t farm.Target) {
	_, err := farm.ParseTarget(t.String())
	c.want(err == nil, "%v", err)
}

func (c *checker) targets(n int) {
	c.want(n >= 1 && n <= MaxTargets, "%d targets: want 1 to %d", n, MaxTargets)
}

func (c *checker) file(field string, f farm.File) {
	c.want(isFileName(f.Name), "%s: %.80q is not a plain file name", field, f.Name)
	c.want(isSHA256(f.SHA256), "%s: %.80q is not a SHA-256 in lower-case hex", field, f.SHA256)
	c.want(f.Size >= 0 && f.Size <= MaxFile, "%s: a size of %d bytes", field, f.Size)
}

func (c *checker) record(r farm.Record) {
	c.number("record.seconds", r.Seconds)
	c.want(r.Seconds >= 0, "record.seconds is %g", r.Seconds)
	c.size("record.peak_rss_bytes", r.PeakRSS)
	c.text("record.sandbox", r.Sandbox, MaxText)
	c.text("record.python", r.PythonVer, MaxText)
	c.text("record.pip", r.PipVer, MaxText)
	c.text("record.compiler", r.Compiler, MaxText)
	c.text("record.os", r.OS, MaxText)
	c.text("record.cause_from", string(r.CauseFrom), maxWord)
	c.applied(r.Recipe)
	c.took(r)
	c.linkage(r)
	c.want(len(r.Env) <= MaxHeld, "record.environment has %d entries, at most %d are allowed", len(r.Env), MaxHeld)
	for name, value := range r.Env {
		c.text("record.environment", name, MaxText)
		c.text("record.environment", value, MaxText)
	}
	if r.Imports != nil {
		c.imports(*r.Imports)
	}
}

// imports are what a package says about itself: cut to size by the builder.
func (c *checker) imports(i farm.Imports) {
	c.number("record.imports.seconds", i.Seconds)
	c.want(len(i.Modules) <= MaxHeld, "record.imports.modules has %d entries, at most %d are allowed", len(i.Modules), MaxHeld)
	for _, m := range i.Modules {
		c.text("record.imports.modules", m, MaxText)
	}
	c.want(len(i.Findings) <= MaxHeld, "record.imports.findings has %d entries, at most %d are allowed", len(i.Findings), MaxHeld)
	for _, f := range i.Findings {
		for _, s := range []string{f.Code, f.Severity, f.Entry, f.Message} {
			c.text("record.imports.findings", s, MaxText)
		}
	}
}

// took is what a build says that it took and wanted.
func (c *checker) took(r farm.Record) {
	if r.Sdist != (farm.Sdist{}) {
		c.sdist(r.Sdist)
	}
	c.want(len(r.Requires) <= MaxRequires, "%d files that the build requires, at most %d are allowed", len(r.Requires), MaxRequires)
	for _, q := range r.Requires {
		c.file("record.requires", farm.File{Name: q.File, SHA256: q.SHA256})
		c.text("record.requires.name", q.Name, MaxText)
		c.text("record.requires.version", q.Version, MaxText)
	}
	c.want(len(r.Contacts) <= MaxContacts, "%d hosts, at most %d are allowed", len(r.Contacts), MaxContacts)
	for _, k := range r.Contacts {
		c.text("record.contacts.host", k.Host, MaxText)
		c.text("record.contacts.why", k.Why, MaxText)
		c.size("record.contacts.times", int64(k.Times))
	}
}

// linkage is what a wheel needs. What the ELF files say the master reads for itself.
func (c *checker) linkage(r farm.Record) {
	c.want(len(r.ELF) <= MaxELF, "record.elf has %d files, at most %d are allowed", len(r.ELF), MaxELF)
	c.want(len(r.Libraries) <= MaxLibraries, "record.libraries has %d, at most %d are allowed", len(r.Libraries), MaxLibraries)
	for _, l := range r.Libraries {
		c.text("record.libraries.soname", l.SOName, MaxText)
		c.want(l.Package == "" || farm.ValidDebianName(l.Package), "record.libraries: %.80q is not the name of a Debian package", l.Package)
	}
}

// applied is a recipe of the past: it can be kept, and asks for nothing any more, so
// that a result is never refused for the sake of what was allowed then.
func (c *checker) applied(r farm.Recipe) {
	const field = "record.recipe"
	c.want(r.Size() <= farm.MaxRecipeSize, "%s has %d bytes of text, at most %d are allowed", field, r.Size(), farm.MaxRecipeSize)
	for name, value := range r.Env {
		c.text(field, name, MaxText)
		c.text(field, value, MaxText)
	}
	for _, s := range slices.Concat(r.PipOptions, r.Constraints, r.Packages, r.From, []string{r.Network}) {
		c.text(field, s, 2*MaxText)
	}
}

// recipe lets nothing through that a build must not be told, whoever says it.
func (c *checker) recipe(field string, r farm.Recipe) {
	if err := r.Check(); err != nil {
		c.want(false, "%s: %v", field, err)
	}
}

// packages returns the bytes of the names.
func (c *checker) packages(list []string) int {
	c.want(len(list) <= MaxPackages, "%d Debian packages, at most %d are allowed", len(list), MaxPackages)
	size := 0
	for i, p := range list {
		c.want(farm.ValidDebianName(p), "%.80q is not the name of a Debian package", p)
		c.want(i == 0 || list[i-1] < p, "the Debian package %.80q is not in order", p)
		size += len(p)
	}
	return size
}

func (m Hello) check() error {
	var c checker
	c.text("version", m.Version, maxWord)
	c.targets(len(m.Targets))
	for _, t := range m.Targets {
		c.target(t.Target)
		c.text("facts.python", t.Facts.Python, maxWord)
		c.text("facts.glibc", t.Facts.Glibc, maxWord)
		c.text("facts.codename", t.Facts.Codename, maxWord)
	}
	c.words("held", m.Held)
	c.text("asking", m.Asking, maxWord)
	c.text("machine", m.Machine, MaxText)
	c.text("os", m.OS, MaxText)
	c.size("memory", m.Memory)
	size := c.packages(m.Packages)
	for _, t := range m.Targets {
		size += c.packages(t.Packages)
	}
	c.want(len(m.Broken) <= MaxTargets, "%d broken targets, at most %d are allowed", len(m.Broken), MaxTargets)
	for _, b := range m.Broken {
		c.text("broken.root", b.Root, MaxText)
		c.text("broken.why", b.Why, MaxText)
	}
	c.want(size <= MaxPackageBytes, "names of Debian packages of %d bytes, at most %d are allowed", size, MaxPackageBytes)
	return c.err
}

// check is for the master's own end: what it may not ask of a slave is not sent.
// A slave looks at it again before it builds.
func (m NextReply) check() error {
	var c checker
	if m.Lease != nil {
		c.recipe("lease.recipe", m.Lease.Recipe)
	}
	return c.err
}

func (m Next) check() error {
	var c checker
	c.word("request", m.Request)
	c.targets(len(m.Targets))
	for _, t := range m.Targets {
		c.target(t)
	}
	c.words("held", m.Held)
	return c.err
}

func (m Beat) check() error {
	var c checker
	c.words("held", m.Held)
	c.text("asking", m.Asking, maxWord)
	c.text("doing", m.Doing, MaxText)
	c.number("load", m.Load)
	c.number("temperature", m.Temperature)
	c.size("memory_free", m.MemoryFree)
	c.size("disk_free", m.DiskFree)
	c.text("machine", m.Machine, MaxText)
	c.words("throttled", m.Throttled)
	c.text("unfit", m.Unfit, MaxText)
	return c.err
}

func (m Report) check() error {
	var c checker
	c.word("token", m.Token)
	c.want(m.Job > 0, "job %d: want a number above 0", m.Job)
	c.outcome(m)
	c.text("failure.detail", m.Failure.Detail, MaxText)
	c.text("failure.hint", m.Failure.Hint, MaxText)
	c.text("excerpt", m.Excerpt, MaxExcerpt)
	c.want(len(m.Wheels) <= MaxWheels, "%d wheels, at most %d are allowed", len(m.Wheels), MaxWheels)
	for _, f := range m.Wheels {
		c.file("wheel", f)
	}
	if m.Log != (farm.File{}) {
		c.file("log", m.Log)
	}
	c.want(len(m.LogData) <= MaxLogInside, "%d bytes of log in the report, at most %d are allowed", len(m.LogData), MaxLogInside)
	c.record(m.Record)
	return c.err
}

func (c *checker) outcome(m Report) {
	switch m.Outcome {
	case farm.OutcomeBuilt:
		c.want(len(m.Wheels) > 0, "a build that succeeded without a wheel")
		c.want(m.Failure.Cause == "", "a build that succeeded, and failed as %.40q", m.Failure.Cause)
	case farm.OutcomeFailed:
		c.want(len(m.Wheels) == 0, "a build that failed with %d wheels", len(m.Wheels))
		c.want(m.Failure.Cause.Valid(), "cause %.40q is not known", m.Failure.Cause)
	default:
		c.want(false, "outcome %.40q: want built or failed", m.Outcome)
	}
}

func (c *checker) sdist(s farm.Sdist) {
	c.file("sdist", farm.File{Name: s.Filename, SHA256: s.SHA256, Size: s.Size})
	c.text("sdist.url", s.URL, MaxText)
}

func (m Control) check() error {
	var c checker
	switch m.Do {
	case DoAbort:
		c.word("token", m.Token)
	case DoPause, DoResume, DoQuit:
	default:
		c.want(false, "order %.40q is not known", m.Do)
	}
	return c.err
}

func (m LogChunk) check() error {
	var c checker
	c.want(m.Job > 0, "job %d: want a number above 0", m.Job)
	c.size("offset", m.Offset)
	c.size("missed", m.Missed)
	c.want(len(m.Data) <= MaxLogChunk, "%d bytes of log, at most %d are allowed", len(m.Data), MaxLogChunk)
	return c.err
}

func (m Event) check() error {
	var c checker
	c.want(isKind(m.Kind), "event %.40q: want one word of a-z, 0-9 and -", m.Kind)
	return c.err
}

// CutText makes s fit into limit bytes as the checks want it: valid UTF-8 and
// without NUL. Of a text that is too long the end is kept, since a log's end says
// why it ended.
func CutText(s string, limit int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
	if len(s) <= limit {
		return s
	}
	s = s[len(s)-limit:]
	for len(s) > 0 && !utf8.RuneStart(s[0]) {
		s = s[1:]
	}
	return s
}
