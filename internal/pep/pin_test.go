package pep_test

import (
	"testing"

	"pinwheel/internal/pep"
)

func TestParsePin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, name, version string
		ok                bool
	}{
		{"six", "six", "", true},
		{"Zope.Interface==5.0", "Zope.Interface", "5.0", true},
		{" six == 1.16.0 ", "six", "1.16.0", true},
		{"six==", "", "", false},
		{"==1", "", "", false},
		{"-rf==1", "", "", false},
		{"six>=1", "", "", false},
		{"six;rm", "", "", false},
		{"../x", "", "", false},
	} {
		name, version, err := pep.ParsePin(c.in)
		if (err == nil) != c.ok || name != c.name || version != c.version {
			t.Errorf("ParsePin(%q) = %q, %q, %v", c.in, name, version, err)
		}
	}
}
