package farm

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

//go:embed rules.tsv
var rulesFile []byte

// Bounds of a table of rules.
const (
	MaxRules  = 1 << 20 // bytes of a table
	maxTicket = 150     // bytes of a rule's link
)

// Rules tell from the words of a build's log why it failed. The form of their
// table stands at the head of rules.tsv, which is the built-in one.
type Rules struct {
	rules []rule
	when  map[string]*condition
	apt   map[string]string // kind and name, a tab between, to Debian packages
}

// rule is one row: first match wins, so its place in the table is its weight.
type rule struct {
	cause                Cause
	when                 *condition // nil: none
	pattern              *regexp.Regexp
	source               string // the pattern as it was written
	detail, hint, ticket string

	needles []needles // what a text must hold for the pattern to match
	crosses bool      // the pattern looks across lines on purpose
	rest    bool      // it matches what nobody has looked at yet
}

// condition is a pattern that several rules want to be found as well as their own.
type condition struct {
	pattern *regexp.Regexp
	needles []needles
}

// defaultRules is compiled once: some hundred expressions are worth keeping.
var defaultRules = sync.OnceValue(func() *Rules {
	r, err := (&Rules{}).With("rules.tsv", rulesFile)
	if err != nil {
		panic(err) // a broken table does not pass the tests
	}
	return r
})

// Len is the number of rules.
func (r *Rules) Len() int { return len(r.rules) }

// DefaultRules are those of the embedded rules.tsv.
func DefaultRules() *Rules { return defaultRules() }

// With gives the rules of a table, and after them those of r, so that the table
// has the first word; r stays as it is. Errors name the table, line and column, as
// compilers do.
func (r *Rules) With(name string, text []byte) (*Rules, error) {
	if len(text) > MaxRules {
		return nil, fmt.Errorf("%s: %d bytes are no table of rules; at most %d", name, len(text), MaxRules)
	}
	t := table{name: name, base: r, apt: map[string]string{}, when: map[string]*condition{}, at: map[string]int{}}
	maps.Copy(t.apt, r.apt)
	maps.Copy(t.when, r.when)
	for line := range bytes.Lines(bytes.TrimPrefix(text, []byte("\uFEFF"))) {
		t.line++
		if err := t.row(strings.TrimRight(string(line), "\r\n")); err != nil {
			return nil, err
		}
	}
	if err := t.checkHints(); err != nil {
		return nil, err
	}
	return t.rules(), nil
}

// table is a table of rules while it is read.
type table struct {
	name string
	base *Rules
	own  []rule
	when map[string]*condition
	apt  map[string]string
	drop []string // patterns of base that are not to hold
	line int
	rest bool           // from here on
	at   map[string]int // the lines of patterns, and of hints that look something up
}

// fault is an error at a field of the line, and a character in it from 1.
func (t *table) fault(fields []string, field, character int, err error) error {
	column := character
	for _, f := range fields[:field] {
		column += utf8.RuneCountInString(f) + 1
	}
	return fmt.Errorf("%s:%d:%d: %w", t.name, t.line, column, err)
}

func (t *table) row(line string) error {
	if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
		return nil
	}
	f := strings.Split(line, "\t")
	if !utf8.ValidString(line) {
		return t.fault(f, 0, 1, errors.New("not UTF-8"))
	}
	switch f[0] {
	case "rest":
		if t.rest = true; len(f) != 1 {
			return t.fault(f, 1, 1, errors.New("nothing stands beside rest"))
		}
		return nil
	case "when":
		return t.whenRow(f)
	case "apt":
		return t.aptRow(f)
	case "drop":
		return t.dropRow(f)
	}
	return t.ruleRow(f)
}

var conditionName = regexp.MustCompile(`^[a-z]+$`)

func (t *table) whenRow(f []string) error {
	if len(f) != 3 {
		return t.fault(f, 0, 1, fmt.Errorf("a when row has 3 fields, this one %d", len(f)))
	}
	if !conditionName.MatchString(f[1]) {
		return t.fault(f, 1, 1, fmt.Errorf("%q: the name of a condition has letters only, a to z", f[1]))
	}
	re, err := t.pattern(f, 2)
	if err != nil {
		return err
	}
	c := &condition{pattern: re}
	c.needles, _ = look(f[2])
	t.when[f[1]] = c
	return nil
}

// pattern compiles a field.
func (t *table) pattern(f []string, field int) (*regexp.Regexp, error) {
	re, err := ParsePattern(f[field])
	var wrong *PatternError
	if errors.As(err, &wrong) {
		return nil, t.fault(f, field, wrong.At, errors.New(wrong.What))
	}
	if re.MatchString("") {
		return nil, t.fault(f, field, 1, errors.New("the pattern matches the empty text, and so every log"))
	}
	return re, nil
}

var aptPackages = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+( [a-z0-9][a-z0-9+.-]+)*$`)

func (t *table) aptRow(f []string) error {
	if len(f) != 4 {
		return t.fault(f, 0, 1, fmt.Errorf("an apt row has 4 fields, this one %d", len(f)))
	}
	for i, name := range []string{"kind", "name"} {
		if f[i+1] == "" {
			return t.fault(f, i+1, 1, errors.New("an empty "+name))
		}
	}
	if !aptPackages.MatchString(f[3]) {
		return t.fault(f, 3, 1, fmt.Errorf("%q: want names of Debian packages, a blank between", f[3]))
	}
	t.apt[f[1]+"\t"+f[2]] = f[3]
	return nil
}

func (t *table) dropRow(f []string) error {
	if len(f) != 2 {
		return t.fault(f, 0, 1, fmt.Errorf("a drop row has 2 fields, this one %d", len(f)))
	}
	if !slices.ContainsFunc(t.base.rules, func(r rule) bool { return r.source == f[1] }) {
		return t.fault(f, 1, 1, errors.New("no built-in rule has this pattern"))
	}
	t.drop = append(t.drop, f[1])
	return nil
}

func (t *table) ruleRow(f []string) error {
	if len(f) < 2 || len(f) > 5 {
		return t.fault(f, 0, 1, fmt.Errorf("a rule has 2 to 5 fields with a tab between, this row %d", len(f)))
	}
	cause, when, _ := strings.Cut(f[0], " ")
	if err := readable(Cause(cause)); err != nil {
		return t.fault(f, 0, 1, err)
	}
	if when != "" && t.when[when] == nil {
		return t.fault(f, 0, len(cause)+2, fmt.Errorf("no row above makes the condition %q", when))
	}
	re, err := t.pattern(f, 1)
	if err != nil {
		return err
	}
	if before := t.at[when+"\t"+f[1]]; before > 0 {
		return t.fault(f, 1, 1, fmt.Errorf("line %d has this pattern already", before))
	}
	t.at[when+"\t"+f[1]] = t.line
	for i := 2; i < min(len(f), 4); i++ {
		if at, err := checkTemplate(f[i], re); err != nil {
			return t.fault(f, i, at, err)
		}
	}
	if len(f) == 5 && !isTicket(f[4]) {
		return t.fault(f, 4, 1, fmt.Errorf("%.40q: want a URL that starts with http:// or https://, of at most %d bytes", f[4], maxTicket))
	}
	f = append(f, "", "", "")
	r := rule{cause: Cause(cause), when: t.when[when], pattern: re, source: f[1], detail: f[2], hint: f[3], ticket: f[4], rest: t.rest}
	r.needles, r.crosses = look(f[1])
	t.own = append(t.own, r)
	if strings.HasPrefix(r.hint, "@") && t.at[r.hint] == 0 {
		t.at[r.hint] = t.line
	}
	return nil
}

// readable says whether a log's words can tell a cause.
func readable(c Cause) error {
	switch {
	case !c.Valid():
		return fmt.Errorf("%q is not a cause", string(c))
	case c.observed():
		return fmt.Errorf("%s is seen by slave or master, and not read in a log", c)
	}
	return nil
}

var reference = regexp.MustCompile(`\$(\$|\w+|\{\w*\})`)

// checkTemplate says at which character a detail or hint names a group that the
// pattern does not have.
func checkTemplate(template string, re *regexp.Regexp) (int, error) {
	for _, m := range reference.FindAllStringSubmatchIndex(template, -1) {
		name := strings.Trim(template[m[2]:m[3]], "{}")
		known := name == "$" || slices.Contains(re.SubexpNames()[1:], name)
		for i := range re.NumSubexp() + 1 {
			known = known || name == fmt.Sprint(i)
		}
		if !known {
			return utf8.RuneCountInString(template[:m[0]]) + 1,
				fmt.Errorf("%s names no group of the pattern; write ${1} where a letter follows, and $$ for a dollar", template[m[0]:m[1]])
		}
	}
	return 0, nil
}

func isTicket(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") && len(s) <= maxTicket && Clean(s) == s
}

// checkHints wants rows for each kind that a hint looks up. They may stand below it.
func (t *table) checkHints() error {
	kinds := map[string]bool{}
	for key := range t.apt {
		kind, _, _ := strings.Cut(key, "\t")
		kinds["@"+kind] = true
	}
	for _, r := range t.own {
		if strings.HasPrefix(r.hint, "@") && !kinds[r.hint] {
			return fmt.Errorf("%s:%d:1: the hint %s looks up rows that begin with apt and %s, and there are none", t.name, t.at[r.hint], r.hint, r.hint[1:])
		}
	}
	return nil
}

func (t *table) rules() *Rules {
	all := slices.Clone(t.own)
	for _, r := range t.base.rules {
		if !slices.Contains(t.drop, r.source) {
			all = append(all, r)
		}
	}
	return &Rules{rules: all, when: t.when, apt: t.apt}
}
