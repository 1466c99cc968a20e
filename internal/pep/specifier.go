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
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		c, err := parseClause(part)
		if err != nil {
			return Specifiers{}, err
		}
		set.clauses = append(set.clauses, c)
	}
	slices.SortFunc(set.clauses, func(a, b clause) int { return strings.Compare(a.String(), b.String()) })
	set.clauses = slices.CompactFunc(set.clauses, func(a, b clause) bool { return a.String() == b.String() })
	return set, nil
}

func parseClause(s string) (clause, error) {
	for _, op := range operators() {
		if raw, ok := strings.CutPrefix(s, op); ok {
			c := clause{op: op, raw: strings.TrimSpace(raw)}
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
		return c.raw != "" && !strings.ContainsAny(c.raw, ";)") && len(strings.Fields(c.raw)) == 1
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
		return strings.EqualFold(v.String(), c.raw)
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

// above is v < c. <1.0 does not take 1.0rc1, unless it names a pre-release itself.
func (c clause) above(v Version) bool {
	if v.IsPre() && !c.version.IsPre() && v.compareBase(c.version) == 0 {
		return false
	}
	return v.Compare(c.version) < 0
}

// below is v > c. >1.0 does not take 1.0.post1, unless it names a post-release
// itself, and never 1.0+local.
func (c clause) below(v Version) bool {
	if v.compareBase(c.version) == 0 && (v.local != nil || v.IsPost() && !c.version.IsPost()) {
		return false
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
