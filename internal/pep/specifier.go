package pep

import (
	"fmt"
	"slices"
	"strings"
)

// Specifiers is a set of version specifiers that all must hold (PEP 440):
// ">=3.7,!=3.8.*". The zero Specifiers holds for every version.
type Specifiers struct{ clauses []clause }

// clause is one specifier.
type clause struct {
	op      string
	raw     string  // the version as written
	version Version // not set for ===
	prefix  bool    // the version ended in .*
}

// operators, a longer one before its prefixes.
func operators() []string { return []string{"===", "~=", "==", "!=", "<=", ">=", "<", ">"} }

// ParseSpecifiers reads specifiers with commas between them; empty ones do not
// count, so the empty string is valid and holds for every version. The error
// quotes the specifier that is wrong.
func ParseSpecifiers(s string) (Specifiers, error) {
	var set Specifiers
	for part := range strings.SplitSeq(s, ",") {
		if part = trim(part); part == "" {
			continue
		}
		c, err := parseClause(part)
		if err != nil {
			return Specifiers{}, err
		}
		set.clauses = append(set.clauses, c)
	}
	set.arrange()
	return set, nil
}

// arrange sorts the clauses and drops those that say the same as an earlier one.
func (s *Specifiers) arrange() {
	slices.SortFunc(s.clauses, func(a, b clause) int { return strings.Compare(a.String(), b.String()) })
	seen := map[string]bool{}
	s.clauses = slices.DeleteFunc(s.clauses, func(c clause) bool {
		key := c.key()
		repeated := seen[key]
		seen[key] = true
		return repeated
	})
}

// key is alike for clauses that mean the same. Trailing zeros count only for
// those that look at how long the release is.
func (c clause) key() string {
	switch {
	case c.op == "===":
		return c.String()
	case c.op == "~=" || c.prefix:
		return fmt.Sprint(c.op, c.version, c.prefix)
	}
	v := c.version
	for len(v.release) > 1 && v.release[len(v.release)-1] == zero {
		v.release = v.release[:len(v.release)-1]
	}
	return c.op + v.String()
}

func parseClause(s string) (clause, error) {
	for _, op := range operators() {
		if raw, ok := strings.CutPrefix(s, op); ok {
			c := clause{op: op, raw: trim(raw)}
			if !c.interpret() {
				break
			}
			return c, nil
		}
	}
	return clause{}, fmt.Errorf("specifier %s: not in the form of PEP 440", quote(s))
}

// interpret reads the version and says whether it suits the operator.
func (c *clause) interpret() (ok bool) {
	if c.op == "===" {
		return c.raw != "" && !strings.ContainsAny(c.raw, ";)") && !strings.ContainsFunc(c.raw, isSpace)
	}
	text := c.raw
	if c.op == "==" || c.op == "!=" {
		text, c.prefix = strings.CutSuffix(text, ".*")
	}
	if c.version, ok = scanVersion(text); !ok {
		return false
	}
	v := c.version
	switch {
	case c.prefix: // nothing may stand between the release and .*
		return v.phase == "" && v.post == "" && v.dev == "" && v.local == nil
	case c.op == "==" || c.op == "!=":
		return true
	case c.op == "~=" && len(v.release) < 2:
		return false
	}
	return v.local == nil
}

func (c clause) String() string { return c.op + c.raw }

// String returns the specifiers sorted, without white space, versions as
// written.
func (s Specifiers) String() string {
	words := make([]string, len(s.clauses))
	for i, c := range s.clauses {
		words[i] = c.String()
	}
	return strings.Join(words, ",")
}

// Contains says whether v satisfies every specifier. With pre false no
// pre-release does.
func (s Specifiers) Contains(v Version, pre bool) bool {
	if v.IsPre() && !pre {
		return false
	}
	return !slices.ContainsFunc(s.clauses, func(c clause) bool { return !c.holds(v) })
}

// ContainsDefault says whether v satisfies every specifier by PEP 440's default
// rule: pre-releases count when nothing else is to be had. Asked about a single
// version, there is nothing else, so a pre-release counts.
func (s Specifiers) ContainsDefault(v Version) bool { return s.Contains(v, true) }

func (c clause) holds(v Version) bool {
	switch c.op {
	case "===":
		return v.String() == strings.ToLower(c.raw)
	case "~=":
		return v.public().Compare(c.version) >= 0 && v.startsWith(c.version.compatible())
	case "==":
		return c.equals(v)
	case "!=":
		return !c.equals(v)
	case "<=":
		return v.public().Compare(c.version) <= 0
	case ">=":
		return v.public().Compare(c.version) >= 0
	case "<":
		return c.above(v)
	}
	return c.below(v)
}

func (c clause) equals(v Version) bool {
	if c.prefix {
		return v.startsWith(c.version)
	}
	if c.version.local == nil {
		v = v.public() // ==1.0 takes 1.0+anything
	}
	return v.Equal(c.version)
}

// above is v < c. <1.0 does not take 1.0rc1, a pre-release of what it names, but
// <1.0.post1 does: that is a pre-release of 1.0. What names a pre-release takes
// them all.
func (c clause) above(v Version) bool {
	if v.IsPre() && !c.version.IsPre() && v.compareBase(c.version) == 0 {
		if c.version.post == "" || v.phase == "" && v.post == c.version.post {
			return false
		}
	}
	return v.Compare(c.version) < 0
}

// below is v > c. >1.0 takes neither 1.0.post1 nor 1.0+local, which belong to
// what it names; >1.0.dev1 takes both.
func (c clause) below(v Version) bool {
	if v.public().Equal(c.version) {
		return false
	}
	if named := v.public(); v.IsPost() && !c.version.IsPost() {
		named.post, named.dev = "", ""
		if named.Equal(c.version) {
			return false
		}
	}
	return v.Compare(c.version) > 0
}

// public drops the local part.
func (v Version) public() Version {
	v.local = nil
	return v
}

// compatible returns what ~= holds on to: the release without its last number.
func (v Version) compatible() Version {
	return Version{epoch: v.epoch, release: v.release[:len(v.release)-1]}
}

// startsWith says whether v is of the series w: epoch and release begin alike.
func (v Version) startsWith(w Version) bool {
	if v.epoch != w.epoch {
		return false
	}
	for i, n := range w.release {
		if v.releaseAt(i) != n {
			return false
		}
	}
	return true
}
