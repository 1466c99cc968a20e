package farm

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestRulesNameTheColumn: whoever edits the table by hand is told where to look.
func TestRulesNameTheColumn(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"# head\nnonsense\tx":                      `own.tsv:2:1: "nonsense" is not a cause`,
		"missing-header fatal error":               `own.tsv:1:1: a rule has 2 to 5 fields with a tab between, this row 1`,
		"prompt":                                   `own.tsv:1:1: a rule has 2 to 5 fields with a tab between, this row 1`,
		"prompt\ta\tb\tc\thttps://x.example/1\te":  `own.tsv:1:1: a rule has 2 to 5 fields with a tab between, this row 6`,
		"prompt\t(":                                `own.tsv:1:8: missing closing )`,
		"\n\n# c\nprompt\tok\nunknown\té[z":        `own.tsv:5:10: missing closing ]`,
		"prompt\ta(b)c**":                          `own.tsv:1:13: invalid nested repetition operator`,
		"prompt\ta(?=b)":                           `own.tsv:1:9: invalid or unsupported Perl syntax`,
		"prompt\tx*":                               `own.tsv:1:8: the pattern matches the empty text, and so every log`,
		"prompt\t":                                 `own.tsv:1:8: the pattern matches the empty text, and so every log`,
		"prompt\ta\ndisk\ta":                       `own.tsv:2:6: line 1 has this pattern already`,
		"timeout\tTIMEOUT":                         `own.tsv:1:1: timeout is seen by slave or master, and not read in a log`,
		"rejected\tno":                             `own.tsv:1:1: rejected is seen by slave or master, and not read in a log`,
		"prompt\ta(b)\tits $2":                     `own.tsv:1:17: $2 names no group`,
		"prompt\ta(b)\t$1x":                        `own.tsv:1:13: $1x names no group`,
		"prompt\ta(?P<n>b)\t$n\t${m}":              `own.tsv:1:21: ${m} names no group`,
		"prompt\ta\t\t@nosuch":                     `own.tsv:1:1: the hint @nosuch looks up rows that begin with apt and nosuch, and there are none`,
		"prompt\ta\t\t\ttracker/1":                 `own.tsv:1:12: "tracker/1": want a URL`,
		"prompt\ta\t\t\tjavascript://x/%0aalert()": `own.tsv:1:12: "javascript://x/%0aalert()": want a URL`,
		"apt\theader\tffi.h":                       `own.tsv:1:1: an apt row has 4 fields, this one 3`,
		"apt\theader\tffi.h\tlibffi-dev; reboot":   `own.tsv:1:18: "libffi-dev; reboot": want names of Debian packages`,
		"apt\t\tffi.h\tlibffi-dev":                 `own.tsv:1:5: an empty kind`,
		"drop\tnothing has this":                   `own.tsv:1:6: no built-in rule has this pattern`,
		"drop\ta\tb":                               `own.tsv:1:1: a drop row has 2 fields, this one 3`,
		"prompt\ta\xff":                            `own.tsv:1:1: not UTF-8`,
		strings.Repeat("#", MaxRules+1):            `own.tsv: 1048577 bytes are no table of rules`,
	} {
		_, err := DefaultRules().With("own.tsv", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("With(%.60q) = %v, want %s…", text, err, want)
		}
	}
}

// TestOwnRules go before the built-in ones, take some away, and know more packages.
func TestOwnRules(t *testing.T) {
	t.Parallel()
	const ffi = "x.c:1:10: fatal error: ffi.h: No such file or directory\nerror: command '/usr/bin/gcc' failed with exit code 1"
	for _, c := range []struct {
		name, table, log string
		want             Failure
	}{
		{"none", "", ffi, Failure{MissingHeader, "ffi.h", "apt: libffi-dev"}},
		{"one that is more exact", "missing-header\tfatal error: (ffi\\.h)\tour $1\tinstall it\thttps://tracker.example/12\n", ffi,
			Failure{MissingHeader, "our ffi.h", "install it; see https://tracker.example/12"}},
		{"a ticket and no hint", "missing-header\tfatal error: (ffi\\.h)\t$1\t\thttps://tracker.example/12", ffi,
			Failure{MissingHeader, "ffi.h", "see https://tracker.example/12"}},
		{"written by an editor of another system", "\uFEFF# ours\r\n\r\nprompt\tfatal error\tit asks\r\n", ffi, Failure{Prompt, "it asks", ""}},
		{"not to be told", "unknown\tffi\\.h", ffi, Failure{Unknown, "", ""}},
		{"another package", "apt\theader\tffi.h\tlibffi8-dev libffi8", ffi, Failure{MissingHeader, "ffi.h", "apt: libffi8-dev libffi8"}},
		{"a kind of its own", "missing-tool\tno (\\w+) here\t$1\t@gadget\napt\tgadget\twhisk\tlibwhisk-dev\n", "no whisk here",
			Failure{MissingTool, "whisk", "apt: libwhisk-dev"}},
		{"less than before", "drop\tfatal error: ([^\\s:']+): No such file or directory\n", ffi,
			Failure{CompilerError, "ffi.h: No such file or directory", ""}},
	} {
		r, err := DefaultRules().With("own.tsv", []byte(c.table))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, r.Classify(c.log)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if diff := cmp.Diff(c.want, r.Classify(r.Excerpt([]byte(strings.Repeat("noise of a compiler\n", 9000)+c.log+strings.Repeat("\nnoise", 9000))))); diff != "" {
			t.Errorf("%s, from an excerpt (-want +got):\n%s", c.name, diff)
		}
	}
	if got := Classify(ffi); got.Hint != "apt: libffi-dev" {
		t.Errorf("the built-in rules are changed: %+v", got)
	}
}

// TestEveryRuleIsCheap: one without a word that its logs must hold would be tried on
// each line of each log.
func TestEveryRuleIsCheap(t *testing.T) {
	t.Parallel()
	for _, r := range DefaultRules().rules {
		if len(r.needles) == 0 {
			t.Errorf("rule %s: no word of at least %d letters must be in what it matches", r.source, shortest)
		}
	}
}

// TestNeedlesAreNeeded: what a pattern matches holds its needles, so that they never
// keep a rule from matching.
func TestNeedlesAreNeeded(t *testing.T) {
	t.Parallel()
	parts := []string{"error", "Error:", "(?i:fatal)", "(?:one|three|No)", "[Ee]rr", "x*", "(abc)+", "(?:missing)?", `\S+`, "s{3,5}", "é", "(?i:ſtraße|Kelvin)", "^", "$", ".*", "(?s:.)"}
	texts := []string{"error", "ERROR:", "Error:", "FATAL", "three", "One", "no", "Err", "abcabc", "missing", "sss", "É", "é", "ſTRASSE", "straße", "Kelvin", "kELVIN", " ", "\n", "\xff", "x"}
	rapid.Check(t, func(r *rapid.T) {
		pattern := strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 1, 5).Draw(r, "pattern"), "")
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(texts), 0, 8).Draw(r, "text"), "")
		re := regexp.MustCompile("(?m)" + pattern)
		rule := rule{pattern: re}
		rule.needles, rule.crosses = look(pattern)
		if re.MatchString(text) && !rule.may(fold(text)) {
			t.Fatalf("%s matches %q, without %q", pattern, text, rule.needles)
		}
	})
}

func TestJudge(t *testing.T) {
	t.Parallel()
	const ffi = "fatal error: ffi.h: No such file or directory"
	read := Failure{MissingHeader, "ffi.h", "apt: libffi-dev"}
	old := Failure{CompilerError, "something", ""}
	killed := Failure{OutOfMemory, "killed", "a slave with more memory"}
	for _, c := range []struct {
		name    string
		told    Failure
		from    Source
		excerpt string
		want    Failure
	}{
		{"read by older rules", old, FromLog, ffi, read},
		{"what no rule knows any more", old, FromLog, "nothing", Failure{Cause: Unknown}},
		{"nothing to read", old, FromLog, "", old},
		{"seen", killed, FromBuilder, ffi, killed},
		{"seen, by an older slave", killed, "", ffi, killed},
		{"read, by an older slave", old, "", ffi, read},
		{"read, by an older slave with rules of its own", old, "", "nothing", old},
		{"out of memory in its own words", Failure{Cause: OutOfMemory, Detail: "cc1plus"}, "", ffi, read},
		{"a limit", Failure{Cause: Timeout, Detail: "not done after 30m0s"}, FromLog, ffi, Failure{Cause: Timeout, Detail: "not done after 30m0s"}},
		{"lost", Failure{Cause: SlaveLost}, "", ffi, Failure{Cause: SlaveLost}},
		{"rejected", Failure{Cause: Rejected}, FromLog, ffi, Failure{Cause: Rejected}},
		{"another wheel", Failure{Cause: WrongWheel, Detail: "w"}, FromBuilder, ffi, Failure{Cause: WrongWheel, Detail: "w"}},
		{"another wheel, by pip's words", Failure{Cause: WrongWheel, Detail: "w"}, FromLog, ffi, read},
	} {
		got := DefaultRules().Judge(c.told, c.from, c.excerpt)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if again := DefaultRules().Judge(got, c.from, c.excerpt); again != got {
			t.Errorf("%s: judged twice, %+v and %+v", c.name, got, again)
		}
	}
}

// TestExplains: what only the rules for the rest match is still to be looked at.
func TestExplains(t *testing.T) {
	t.Parallel()
	for log, want := range map[string]bool{
		"fatal error: ffi.h: No such file or directory": true,
		"RuntimeError: the moon is in the wrong phase":  false,
		"nothing":                          false,
		"error in x setup command: no way": true,
	} {
		if got := DefaultRules().Explains(log); got != want {
			t.Errorf("%q: %v", log, got)
		}
	}
}
