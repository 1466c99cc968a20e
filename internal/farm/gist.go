package farm

import (
	"regexp"
	"strings"
)

// maxGist bounds a gist, in bytes.
const maxGist = 120

var (
	// frame is what pip says around what a build says: that it failed, and where.
	frame = regexp.MustCompile(`^ *(?:\[\.\.\.\]|note: |hint: |[×│╰]|full command: |cwd: |See above|Complete output|-{10,}|` +
		`(?i:error: subprocess-exited-with-error|error: metadata-generation-failed|error: failed (?:to build|building)|` +
		`error: could not build wheels|error: command errored out|failed to build )|` +
		`\S.*: (?:started|finished with status|still running)|(?:Running|Building|Preparing|Getting|Installing) )`)
	// complaint is how most programs say that something is wrong.
	complaint = regexp.MustCompile(`(?i)error|fail|fatal|cannot|can't|could not|exception|not found|unable|invalid|missing|denied|unsupported|abort`)
	// particular is what differs between two builds that fail alike.
	particular  = regexp.MustCompile(`0x[0-9a-fA-F]+|[0-9a-f]{16,}|\d+`)
	longPath    = regexp.MustCompile(`(?:/[\w.+~-]+)+/`)
	whiteSpaces = regexp.MustCompile(`\s+`)
)

// Gist is the line of an excerpt that tells most, as far as that can be known
// without a rule: the last one that complains, else the last, and not what pip says
// around it. Numbers and folders are taken out, so that builds that failed alike
// have one gist. Empty: the excerpt says nothing.
func Gist(excerpt string) string {
	last, telling := "", ""
	for line := range strings.Lines(excerpt) {
		line = strings.TrimSpace(line)
		if line == "" || frame.MatchString(line) {
			continue
		}
		last = line
		if complaint.MatchString(line) {
			telling = line
		}
	}
	if telling == "" {
		telling = last
	}
	telling = longPath.ReplaceAllString(clip(telling, maxLine), "…/")
	return clip(whiteSpaces.ReplaceAllString(particular.ReplaceAllString(telling, "N"), " "), maxGist)
}
