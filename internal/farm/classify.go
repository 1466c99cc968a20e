package farm

import (
	"regexp"
	"strings"

	"pinwheel/internal/pep"
)

// maxDetail bounds what a log may put into a failure's detail, in bytes.
const maxDetail = 200

// Classify says by the built-in rules why a build with this excerpt failed.
func Classify(excerpt string) Failure { return DefaultRules().Classify(excerpt) }

// Classify applies the first rule that matches. Where none does, the cause is
// Unknown and the detail empty.
func (r *Rules) Classify(excerpt string) Failure {
	if rule, m := r.first(excerpt); rule != nil {
		return r.failure(rule, excerpt, m)
	}
	return Failure{Cause: Unknown}
}

// Explains says whether a rule matches that was written for such logs, and not only
// one that takes what is left.
func (r *Rules) Explains(excerpt string) bool {
	rule, _ := r.first(excerpt)
	return rule != nil && !rule.rest
}

// first finds the rule that has the word, and where it matches.
func (r *Rules) first(excerpt string) (*rule, []int) {
	folded := fold(excerpt)
	for i := range r.rules {
		rule := &r.rules[i]
		if !rule.may(folded) || rule.when != nil && !rule.when.pattern.MatchString(excerpt) {
			continue
		}
		if m := rule.pattern.FindStringSubmatchIndex(excerpt); m != nil {
			return rule, m
		}
	}
	return nil, nil
}

// may says without the patterns' cost whether the rule can match.
func (r *rule) may(folded string) bool {
	return allIn(r.needles, folded) && (r.when == nil || allIn(r.when.needles, folded))
}

func (r *Rules) failure(rule *rule, text string, m []int) Failure {
	expand := func(template string) string {
		s := string(rule.pattern.ExpandString(nil, template, text, m))
		return clip(strings.Join(strings.Fields(s), " "), maxDetail)
	}
	f := Failure{Cause: rule.cause, Detail: expand(rule.detail)}
	if project, ok := strings.CutPrefix(f.Detail, "@collected "); ok {
		f.Detail = clip(collected(text, project), maxDetail)
	}
	if kind, ok := strings.CutPrefix(rule.hint, "@"); ok {
		f.Hint = r.aptHint(kind, f.Detail)
	} else {
		f.Hint = expand(rule.hint)
	}
	if rule.ticket != "" {
		f.Hint = strings.TrimPrefix(f.Hint+"; see "+rule.ticket, "; ")
	}
	return f
}

var collecting = regexp.MustCompile(`(?m)^ *Collecting (([\w.-]+)[^\s;]*)`)

// collected is the requirement by which pip collected a project last, else the
// project.
func collected(text, project string) string {
	found := project
	for _, m := range collecting.FindAllStringSubmatch(text, -1) {
		if pep.NormalizeName(m[2]) == pep.NormalizeName(project) {
			found = m[1]
		}
	}
	return found
}

func (r *Rules) aptHint(kind, name string) string {
	if p := r.apt[kind+"\t"+name]; p != "" {
		return "apt: " + p
	}
	return ""
}

// Judge says why a failed build failed. What its slave saw stands, whatever the
// log says: a limit, a signal, what came out. What it read in the log is read anew,
// by these rules, so that every build is judged alike whenever and by whomever it
// was built, and what no rule knows any more is Unknown. A slave that does not say
// which of both it did keeps its word where the rules know nothing.
func (r *Rules) Judge(told Failure, from Source, excerpt string) Failure {
	if excerpt == "" || told.observed(from) {
		return told
	}
	read := r.Classify(excerpt)
	if read.Cause == Unknown && from == "" {
		return told
	}
	return read
}

// observed says whether somebody saw the cause, rather than read it.
func (f Failure) observed(from Source) bool {
	if from != "" || f.Cause.observed() {
		return from == FromBuilder || f.Cause.observed()
	}
	// A slave of before there were sources: by the words that its builder used.
	switch f.Cause {
	case SlaveFault, WrongWheel:
		return true
	case OutOfMemory:
		return f.Detail == "killed"
	case Crashed:
		return strings.HasPrefix(f.Detail, "ended by a signal: ")
	case BuildBackend:
		return f.Detail == "pip was content, but there is no wheel"
	}
	return false
}
