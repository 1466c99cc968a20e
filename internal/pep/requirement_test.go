package pep

import "testing"

func TestParseRequirement(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"numpy":                        "numpy",
		"numpy==1.19.5":                "numpy==1.19.5",
		" Cython (>=0.29, <3) ":        "cython<3,>=0.29",
		"setuptools_scm[toml]>=3.4":    "setuptools-scm>=3.4",
		"x.y~=1.0; python_version>'3'": "x-y~=1.0",
		"a===1.0x":                     "a===1.0x",
	} {
		r, err := ParseRequirement(text)
		if err != nil || r.String() != want {
			t.Errorf("%q is %q (%v), want %q", text, r, err, want)
		}
		again, err := ParseRequirement(want)
		if err != nil || again.String() != want {
			t.Errorf("%q is %q (%v) when it is read again", want, again, err)
		}
	}
	for _, text := range []string{
		"", "==1", "-x", "numpy 1.0", "a build requirement does not install", "build requirements conflict",
		"x[toml", "x (>1", "x @ https://example.org/x.tar.gz", "x>=", "numpy==1.0 is wanted", "naïve",
	} {
		if r, err := ParseRequirement(text); err == nil {
			t.Errorf("%q is taken for %q", text, r)
		}
	}
}

func TestRequirementTakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		requirement, version string
		want                 bool
	}{
		{"numpy==1.19.5", "1.19.5", true}, {"numpy==1.19.5", "1.19.5.post1", false}, {"numpy==1.19.*", "1.19.5", true},
		{"numpy", "0.1", true}, {"numpy>=1,<2", "2.0", false}, {"numpy>=1", "2.0rc1", true}, {"numpy", "not a version", false},
	} {
		r, err := ParseRequirement(c.requirement)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Takes(c.version); got != c.want {
			t.Errorf("%s takes %s: %v", c.requirement, c.version, got)
		}
	}
}

// FuzzParseRequirement: what is taken is written in one spelling, and read alike.
func FuzzParseRequirement(f *testing.F) {
	for _, s := range []string{"numpy==1.19.5", "Cython (>=0.29,<3)", "a[b]>=1;x", "x @ y", "İ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRequirement(s)
		if err != nil {
			return
		}
		again, err := ParseRequirement(r.String())
		if err != nil || again.String() != r.String() {
			t.Errorf("%q is %q, and that is %q (%v)", s, r, again, err)
		}
	})
}
