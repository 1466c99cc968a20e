package pep

import (
	"testing"

	"pgregory.net/rapid"
)

func TestSpecifierVectors(t *testing.T) {
	t.Parallel()
	for _, row := range readVectors(t, "specifiers.tsv") {
		s, err := ParseSpecifiers(row[0])
		if err != nil {
			t.Errorf("ParseSpecifiers(%q): %v", row[0], err)
			continue
		}
		v := mustVersion(t, row[1])
		if got := s.Contains(v, true); got != (row[2] == "1") {
			t.Errorf("%q contains %q, pre-releases allowed: %v, want %s", row[0], row[1], got, row[2])
		}
		if got := s.ContainsDefault(v); got != (row[3] == "1") {
			t.Errorf("%q contains %q by default: %v, want %s", row[0], row[1], got, row[3])
		}
	}
}

func TestSpecifierVectorsForm(t *testing.T) {
	t.Parallel()
	for _, row := range readVectors(t, "badspec.tsv") {
		s, err := ParseSpecifiers(row[0])
		if valid := row[1] == "1"; (err == nil) != valid {
			t.Errorf("ParseSpecifiers(%q): error %v, want valid %v", row[0], err, valid)
			continue
		}
		if got := s.String(); got != row[2] {
			t.Errorf("ParseSpecifiers(%q).String() = %q, want %q", row[0], got, row[2])
		}
	}
}

func TestRequiresPythonVectors(t *testing.T) {
	t.Parallel()
	for _, row := range readVectors(t, "requires_python.tsv") {
		s, err := ParseSpecifiers(row[0])
		if err != nil {
			t.Errorf("ParseSpecifiers(%q): %v", row[0], err)
			continue
		}
		if got := s.Contains(mustVersion(t, row[1]), true); got != (row[2] == "1") {
			t.Errorf("%q takes Python %s: %v, want %s", row[0], row[1], got, row[2])
		}
	}
}

func TestContainsLeavesPreReleasesOut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		spec, version string
		want          bool
	}{
		{">=1.0", "1.1", true},
		{">=1.0", "1.1rc1", false},
		{">=1.0", "1.1.dev1", false},
		{">=1.0", "1.1.post1", true},
		{">=1.0rc1", "1.0rc2", false},
		{"", "2.0", true},
		{"", "2.0a1", false},
	} {
		s, err := ParseSpecifiers(tt.spec)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Contains(mustVersion(t, tt.version), false); got != tt.want {
			t.Errorf("%q contains %q without pre-releases: %v, want %v", tt.spec, tt.version, got, tt.want)
		}
	}
}

// Rows beside the vectors, asked of the reference: what belongs to the version
// that a specifier names.
func TestSpecifierNamesAVersion(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		spec, version string
		want          bool
	}{
		{">2b1.post2", "2+1", true},
		{">1.0", "1.0+1", false},
		{">1.0.dev0", "1.0a0.post2", true},
		{">1.0", "1.0.post1.dev0", false},
		{">1.0rc1", "1.0rc1.post1", false},
		{"<1.0.post0", "1.0b1", true},
		{"<1.0.post0", "1.0.post0.dev1", false},
		{"<1.0", "1.0a1.post1", false},
		{"<1.0rc1", "1.0b1", true},
		{"~=1.4.2rc1", "1.4.9", true},
		{"~=1.4.2rc1", "1.5", false},
		{"~=2.2.post3", "2.9", true},
		{"==1.0.0.*", "1.0rc1", true},
		{"==1!1.*", "1.2", false},
		{"===1.0+\u212a", "1.0+k", true},
	} {
		s, err := ParseSpecifiers(tt.spec)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Contains(mustVersion(t, tt.version), true); got != tt.want {
			t.Errorf("%q contains %q: %v, want %v", tt.spec, tt.version, got, tt.want)
		}
	}
}

func TestSpecifiersDropRepeated(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{">= 2.0, >=2.0.0,>=2", ">=2"},
		{"<2.1.00,<2.1.0a1,<2.1", "<2.1,<2.1.0a1"},
		{"~=2.0,~=2.0.0", "~=2.0,~=2.0.0"},
		{"==1.*,==1.0.*,==1", "==1,==1.*,==1.0.*"},
		{"===1,===1.0", "===1,===1.0"},
	} {
		s, err := ParseSpecifiers(tt.in)
		if got := s.String(); err != nil || got != tt.want {
			t.Errorf("ParseSpecifiers(%q) = %s, %v, want %s", tt.in, got, err, tt.want)
		}
	}
}

func TestSpecifierLaws(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v, w := drawVersion(t), drawVersion(t)
		holds := func(op string, w Version) bool {
			s, err := ParseSpecifiers(op + w.String())
			if err != nil {
				t.Fatal(err)
			}
			return s.Contains(v, true)
		}
		if holds("==", w) == holds("!=", w) {
			t.Fatalf("%s is both == and != %s, or neither", v, w)
		}
		if w = w.public(); holds("<=", w) && holds(">=", w) != holds("==", w) {
			t.Fatalf("%s <= and >= %s, but not ==", v, w)
		}
		if holds("<", w) && !holds("<=", w) || holds(">", w) && !holds(">=", w) {
			t.Fatalf("%s is before or after %s, but the wider comparison denies it", v, w)
		}
	})
}

func FuzzParseSpecifiers(f *testing.F) {
	for _, s := range []string{">=3.7,!=3.8.*", "~= 1.4.2rc1", "=== any thing", "===x", "==1+a.*", ",,", "<1;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		set, err := ParseSpecifiers(s)
		if err != nil {
			return
		}
		again, err := ParseSpecifiers(set.String())
		if err != nil || again.String() != set.String() {
			t.Errorf("%q is %s, read again %s, %v", s, set, again, err)
		}
		v := Version{epoch: zero, release: []number{"1", "4"}}
		if set.Contains(v, true) != again.Contains(v, true) {
			t.Errorf("%q and %q differ about %s", s, set, v)
		}
	})
}
