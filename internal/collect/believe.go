package collect

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

const (
	maxLine   = 300           // bytes of a word from a slave: a detail, a compiler's name
	maxLength = 7 * 24 * 3600 // seconds that a build may say it took
)

var shaForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// believable cuts a report to what a slave can know and a row can hold. The bus
// has refused most of the rest already; here it stands so that no report can fail
// at its row for ever, and hold its lease for as long.
func believable(r bus.Report) bus.Report {
	f := &r.Failure
	// That a wheel was rejected or a slave lost is for the master to say.
	if !f.Cause.Valid() || f.Cause == farm.Rejected || f.Cause == farm.SlaveLost {
		f.Cause = farm.Unknown
	}
	f.Detail, f.Hint = line(f.Detail), line(f.Hint)
	r.Excerpt = bus.CutText(farm.Clean(r.Excerpt), bus.MaxExcerpt)
	if unsound(r.Log, MaxLog) != nil {
		r.Log = farm.File{} // the end of a build is worth more than its log
	}
	r.Log.Name = line(r.Log.Name)
	r.Record = believableRecord(r.Record)
	return r
}

func believableRecord(r farm.Record) farm.Record {
	if !(r.Seconds >= 0 && r.Seconds <= maxLength) { // NaN too
		r.Seconds = 0
	}
	r.PeakRSS = max(r.PeakRSS, 0)
	r.Started, r.Ended = moment(r.Started), moment(r.Ended)
	if r.CauseFrom != farm.FromBuilder && r.CauseFrom != farm.FromLog {
		r.CauseFrom = ""
	}
	r.Env = believableEnv(r.Env)
	if r.Imports != nil {
		bounded := r.Imports.Bound()
		r.Imports = &bounded
	}
	for i := range r.Contacts {
		r.Contacts[i].Host, r.Contacts[i].Why = line(r.Contacts[i].Host), line(r.Contacts[i].Why)
	}
	for _, s := range []*string{&r.Sandbox, &r.PythonVer, &r.PipVer, &r.Compiler, &r.OS} {
		*s = line(*s)
	}
	r.ELF = nil // of a wheel that is accepted, what we have read ourselves
	r.Libraries = believableLibraries(r.Libraries)
	return r
}

// believableLibraries are words about the slave's system, which nobody here can check.
func believableLibraries(list []farm.Library) (out []farm.Library) {
	for _, l := range list[:min(len(list), bus.MaxLibraries)] {
		l.SOName = line(l.SOName)
		if l.Package != "" && !farm.ValidDebianName(l.Package) {
			l.Package = ""
		}
		out = append(out, l)
	}
	return out
}

// maxVariables is more than a slave tells.
const maxVariables = 16

func believableEnv(env map[string]string) map[string]string {
	if len(env) == 0 || len(env) > maxVariables {
		return nil
	}
	told := map[string]string{}
	for name, value := range env {
		told[line(name)] = line(value)
	}
	return told
}

// moment drops times that JSON cannot write.
func moment(t time.Time) time.Time {
	t = t.UTC()
	if y := t.Year(); y < 1 || y > 9999 {
		return time.Time{}
	}
	return t
}

// line folds foreign text into one line that Postgres and a terminal can take.
func line(s string) string {
	s = strings.Join(strings.Fields(farm.Clean(s)), " ")
	if len(s) > maxLine {
		s = strings.ToValidUTF8(s[:maxLine], "") // a character cut in two goes as a whole
	}
	return s
}

// refusedUnseen says why a report's wheels are not even asked for, or "".
func refusedUnseen(wheels []farm.File) string {
	if len(wheels) != 1 {
		return fmt.Sprintf("%d wheels in the report, want one", len(wheels))
	}
	if err := unsound(wheels[0], MaxWheel); err != nil {
		return err.Error()
	}
	return ""
}

// unsound says what is wrong with the description of a file.
func unsound(f farm.File, most int64) error {
	if !shaForm.MatchString(f.SHA256) {
		return fmt.Errorf("%.80q is not a SHA-256 in lower-case hex", f.SHA256)
	}
	if f.Size < 1 || f.Size > most {
		return fmt.Errorf("a file of %d bytes; want 1 to %d", f.Size, most)
	}
	return nil
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
