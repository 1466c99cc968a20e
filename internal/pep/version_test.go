package pep

import (
	"cmp"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestVersionVectors(t *testing.T) {
	t.Parallel()
	for _, row := range readVectors(t, "versions.tsv") {
		v, err := ParseVersion(row[0])
		if valid := row[1] == "1"; (err == nil) != valid {
			t.Errorf("ParseVersion(%q): error %v, want valid %v", row[0], err, valid)
		}
		if err != nil {
			continue
		}
		flag := func(b bool) string { return map[bool]string{true: "1", false: "0"}[b] }
		got := []string{v.String(), v.Public(), v.Base(), string(v.epoch),
			flag(v.IsPre()), flag(v.IsPost()), flag(v.IsDev()), v.Local()}
		if diff := gocmp.Diff(row[2:10], got); diff != "" {
			t.Errorf("ParseVersion(%q) (-want +got):\n%s", row[0], diff)
		}
	}
}

func TestVersionVectorsOrder(t *testing.T) {
	t.Parallel()
	type ranked struct {
		v    Version
		rank int
	}
	var all []ranked
	for _, row := range readVectors(t, "versions.tsv") {
		if row[1] != "1" {
			continue
		}
		v, err := ParseVersion(row[0])
		rank, err2 := strconv.Atoi(row[10])
		if err != nil || err2 != nil {
			t.Fatal(row[0], err, err2)
		}
		all = append(all, ranked{v, rank})
	}
	for _, a := range all {
		for _, b := range all {
			if got, want := a.v.Compare(b.v), cmp.Compare(a.rank, b.rank); got != want {
				t.Fatalf("%s.Compare(%s) = %d, want %d", a.v, b.v, got, want)
			}
		}
	}
}

func TestVersionNumbersHaveNoBound(t *testing.T) {
	t.Parallel()
	nines := strings.Repeat("9", 5000)
	small, big := mustVersion(t, "1."+nines), mustVersion(t, "1.1"+strings.Repeat("0", 5000))
	if small.Compare(big) != -1 || big.Compare(small) != 1 {
		t.Error("numbers of 5,000 digits are not compared by value")
	}
	if got, want := mustVersion(t, "1.000"+nines).String(), "1."+nines; got != want {
		t.Error("leading zeros of a large number stay")
	}
}

func TestZeroVersionComesFirst(t *testing.T) {
	t.Parallel()
	var none Version
	if none.String() != "" || none.Compare(mustVersion(t, "0.dev0")) != -1 || !none.Equal(Version{}) {
		t.Error("the zero Version is not before all others")
	}
}

func TestParseVersionErrorIsShort(t *testing.T) {
	t.Parallel()
	_, err := ParseVersion(strings.Repeat("1.\n", 1<<16))
	if err == nil || len(err.Error()) > 500 || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one short line", err)
	}
}

func TestVersionString(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := drawVersion(t)
		again, err := ParseVersion(v.String())
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(v, again, gocmp.AllowUnexported(Version{})); diff != "" {
			t.Fatalf("%s read again (-want +got):\n%s", v, diff)
		}
	})
}

func TestVersionCompareIsTotalOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawVersion(t), drawVersion(t), drawVersion(t)
		if a.Compare(a) != 0 || a.Compare(b) != -b.Compare(a) {
			t.Fatalf("%s and %s: %d and %d", a, b, a.Compare(b), b.Compare(a))
		}
		if a.Compare(b) <= 0 && b.Compare(c) <= 0 && a.Compare(c) > 0 {
			t.Fatalf("%s <= %s <= %s, but not %s <= %s", a, b, c, a, c)
		}
	})
}

func FuzzParseVersion(f *testing.F) {
	for _, s := range []string{"1.0", "v1!2.3-Alpha_4.post-5.dev6+Ubuntu_7", "1.0-1", "0DEV-", "1.0a--1", " 1\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVersion(s)
		if err != nil {
			return
		}
		again, err := ParseVersion(v.String())
		if err != nil || again.String() != v.String() || !again.Equal(v) {
			t.Errorf("%q is %s, read again %s, %v", s, v, again, err)
		}
	})
}

// drawVersion draws small numbers, so that equal parts are frequent.
func drawVersion(t *rapid.T) Version {
	s := rapid.StringMatching(`([01]!)?[012](\.[012]){0,2}((a|b|rc)[01])?(\.post[01])?(\.dev[01])?(\+(a|b|1|10|9)(\.(a|2))?)?`).Draw(t, "version")
	v, err := ParseVersion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustVersion(t *testing.T, s string) Version {
	t.Helper()
	v, err := ParseVersion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
