package pep

import (
	"testing"

	"pgregory.net/rapid"
)

func TestNameVectors(t *testing.T) {
	t.Parallel()
	for _, row := range readVectors(t, "names.tsv") {
		raw, valid, normal := row[0], row[1] == "1", row[2]
		if got := ValidName(raw); got != valid {
			t.Errorf("ValidName(%q) = %v, want %v", raw, got, valid)
		}
		if got := NormalizeName(raw); got != normal {
			t.Errorf("NormalizeName(%q) = %q, want %q", raw, got, normal)
		}
	}
}

func TestValidNameRefusesLettersThatFoldIntoASCII(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"\u212a", "ſet", "a\u0131b", "a\nb", "a\n", "a b", "a/b"} {
		if ValidName(name) {
			t.Errorf("ValidName(%q) = true", name)
		}
	}
}

func TestNormalizeNameOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?`).Draw(t, "name")
		normal := NormalizeName(name)
		if !ValidName(name) || !ValidName(normal) || !isNormalName(normal) || NormalizeName(normal) != normal {
			t.Fatalf("%q normalizes to %q", name, normal)
		}
	})
}

func FuzzNormalizeName(f *testing.F) {
	for _, s := range []string{"RPi.GPIO", "a--_.b", "\u0130", "\xff", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		normal := NormalizeName(s)
		if NormalizeName(normal) != normal {
			t.Errorf("%q normalizes to %q and that to %q", s, normal, NormalizeName(normal))
		}
	})
}
