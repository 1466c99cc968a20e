package farm

import (
	"bytes"
	_ "embed"
	"fmt"
	"regexp"
	"strings"
	"sync"
)

//go:embed rules.tsv
var rulesFile []byte

// Rules tell from the words of a build's log why it failed. The table's form
// stands at the head of rules.tsv, which is the default one.
type Rules struct {
	rules []rule
	apt   map[string]string // kind and name, a tab between, to Debian packages
}

// rule is one row: first match wins, so its place in the table is its weight.
type rule struct {
	cause        Cause
	pattern      *regexp.Regexp
	detail, hint string
}

// maxDetail bounds what a log may put into a failure's detail, in bytes.
const maxDetail = 200

// LoadRules reads a table. Errors name the line.
func LoadRules(table []byte) (*Rules, error) {
	r := &Rules{apt: map[string]string{}}
	n := 0
	for line := range bytes.Lines(table) {
		n++
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if err := r.add(strings.Split(text, "\t")); err != nil {
			return nil, fmt.Errorf("rules line %d: %w", n, err)
		}
	}
	return r, nil
}

func (r *Rules) add(f []string) error {
	if f[0] == "apt" {
		if len(f) != 4 {
			return fmt.Errorf("an apt row has 4 fields, this one %d", len(f))
		}
		r.apt[f[1]+"\t"+f[2]] = f[3]
		return nil
	}
	if len(f) < 2 || len(f) > 4 {
		return fmt.Errorf("a rule has 2 to 4 fields, this one %d", len(f))
	}
	if !Cause(f[0]).Valid() {
		return fmt.Errorf("%q is not a cause", f[0])
	}
	re, err := regexp.Compile("(?m)" + f[1])
	if err != nil {
		return fmt.Errorf("pattern: %w", err)
	}
	f = append(f, "", "")
	r.rules = append(r.rules, rule{Cause(f[0]), re, f[2], f[3]})
	return nil
}

// defaultRules is compiled once: some hundred expressions are worth keeping.
var defaultRules = sync.OnceValue(func() *Rules {
	r, err := LoadRules(rulesFile)
	if err != nil {
		panic(err) // a broken table does not pass the tests
	}
	return r
})

// DefaultRules are those of the embedded rules.tsv.
func DefaultRules() *Rules { return defaultRules() }

// Classify says by the default rules why a build with this excerpt failed.
func Classify(excerpt string) Failure { return DefaultRules().Classify(excerpt) }

// Classify applies the first rule that matches. Where none does, the cause is
// Unknown and the detail empty.
func (r *Rules) Classify(excerpt string) Failure {
	for _, rule := range r.rules {
		if m := rule.pattern.FindStringSubmatchIndex(excerpt); m != nil {
			return r.failure(rule, excerpt, m)
		}
	}
	return Failure{Cause: Unknown}
}

func (r *Rules) failure(rule rule, text string, m []int) Failure {
	expand := func(template string) string {
		s := string(rule.pattern.ExpandString(nil, template, text, m))
		return clip(strings.Join(strings.Fields(s), " "), maxDetail)
	}
	f := Failure{Cause: rule.cause, Detail: expand(rule.detail)}
	if kind, ok := strings.CutPrefix(rule.hint, "@"); ok {
		f.Hint = r.aptHint(kind, f.Detail)
	} else {
		f.Hint = expand(rule.hint)
	}
	return f
}

func (r *Rules) aptHint(kind, name string) string {
	if p := r.apt[kind+"\t"+name]; p != "" {
		return "apt: " + p
	}
	return ""
}

// rank is the place of the first rule that matches one line, or -1.
func (r *Rules) rank(line string) int {
	for i, rule := range r.rules {
		if rule.pattern.MatchString(line) {
			return i
		}
	}
	return -1
}
