package config

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "512": 512, "1K": 1024, "64k": 64 << 10, "10M": 10 << 20, "2G": 2 << 30, "1g": 1 << 30,
		"9223372036854775807": math.MaxInt64, "8589934591G": 8589934591 << 30,
	} {
		s := Size(7)
		if err := s.Set(text); err != nil || int64(s) != want {
			t.Errorf("%q is %d, %v; want %d", text, int64(s), err, want)
		}
	}
}

func TestNoSize(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "K", "-1", "-1K", "+1", "1.5G", "10MB", "10MiB", "1KM", "M10", " 1", "1 ", "1 K", "0x10", "1_000", "1e3", "٣",
		"9223372036854775808", "8589934592G", "99999999999999999999K",
	} {
		s := Size(7)
		if err := s.Set(text); err == nil {
			t.Errorf("%q is taken as %d", text, int64(s))
		}
		if s != 7 {
			t.Errorf("%q is refused, and changes the value to %d", text, int64(s))
		}
	}
}

// TestSizeOfItsOwnText: what help shows as a default can be given.
func TestSizeOfItsOwnText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, math.MaxInt64).Draw(t, "n") >> rapid.IntRange(0, 62).Draw(t, "right")
		n <<= rapid.SampledFrom([]int{0, 0, 10, 20, 30}).Draw(t, "unit")
		if n < 0 {
			n = 0
		}
		want, got := Size(n), Size(-1)
		if err := got.Set(want.String()); err != nil || got != want {
			t.Fatalf("%d is written %s and read as %d, %v", n, &want, int64(got), err)
		}
	})
}

func FuzzSize(f *testing.F) {
	for _, seed := range []string{"", "10M", "1G", "K", "-5", "9223372036854775807", "99999999999G"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s, again Size
		if s.Set(text) != nil {
			return
		}
		if s < 0 {
			t.Fatalf("%q is %d", text, int64(s))
		}
		if err := again.Set(s.String()); err != nil || again != s {
			t.Fatalf("%q is %d, whose text %s is %d", text, int64(s), &s, int64(again))
		}
	})
}
