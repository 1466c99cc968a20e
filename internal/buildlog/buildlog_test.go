package buildlog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	stdgzip "compress/gzip"

	"pgregory.net/rapid"
)

func compressed(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Compress(&b, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestTextIsWhatWasCompressed, byte for byte, whatever a build writes; and the
// same text is always the same file.
func TestTextIsWhatWasCompressed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		want := string(rapid.SliceOf(rapid.Byte()).Draw(r, "log"))
		stored := compressed(t, want)
		if !bytes.Equal(stored, compressed(t, want)) {
			t.Fatal("the same text, two files")
		}
		got, err := io.ReadAll(Text(t.Context(), iotest.HalfReader(bytes.NewReader(stored))))
		if err != nil || string(got) != want {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
		f, err := Open(t.Context(), bytes.NewReader(stored))
		if err != nil || f.Size() != int64(len(want)) {
			t.Fatalf("%+v, %v", f, err)
		}
		if err := iotest.TestReader(f, []byte(want)); err != nil {
			t.Fatal(err)
		}
	})
}

// TestOthersCanUnpack: a browser must understand it too.
func TestOthersCanUnpack(t *testing.T) {
	t.Parallel()
	const want = "gcc: \x1b[31merror\x1b[0m\x00\xff\r\n"
	z, err := stdgzip.NewReader(bytes.NewReader(compressed(t, want)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	if z.Name != "" || !z.ModTime.IsZero() {
		t.Errorf("the head tells %q, %v", z.Name, z.ModTime)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	whole := compressed(t, "the whole log\n")
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-6] ^= 1 // of the check sum
	for _, c := range []struct {
		name, stored, want string
		err                error
	}{
		{name: "nothing"},
		{name: "one byte", stored: "\x1f", want: "\x1f"},
		{name: "text", stored: "gcc: error\n", want: "gcc: error\n"},
		{name: "compressed", stored: string(whole), want: "the whole log\n"},
		{name: "what follows is not ours", stored: string(whole) + string(whole) + "x", want: "the whole log\n"},
		{name: "cut off", stored: string(whole[:len(whole)-9]), err: ErrDamaged},
		{name: "a head and no more", stored: magic, err: ErrDamaged},
		{name: "other bytes than summed up", stored: string(flipped), err: ErrDamaged},
	} {
		got, err := io.ReadAll(Text(t.Context(), strings.NewReader(c.stored)))
		if !errors.Is(err, c.err) || c.err == nil && string(got) != c.want {
			t.Errorf("%s: %q, %v; want %q, %v", c.name, got, err, c.want, c.err)
		}
		if is, err := Compressed(strings.NewReader(c.stored)); err != nil || is != strings.HasPrefix(c.stored, magic) {
			t.Errorf("%s: compressed: %v, %v", c.name, is, err)
		}
		if _, err := Open(t.Context(), strings.NewReader(c.stored)); !errors.Is(err, c.err) {
			t.Errorf("%s: open: %v, want %v", c.name, err, c.err)
		}
	}
}

// zeros is a text without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestBomb: a log that unpacks to more than allowed ends there, and gives no byte more.
func TestBomb(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := Compress(&b, io.LimitReader(zeros{}, MaxText+1<<20)); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, Text(t.Context(), &b))
	if !errors.Is(err, ErrTooLong) || n != MaxText {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestExactlyTheLimit(t *testing.T) {
	t.Parallel()
	for _, stored := range []string{"12345", string(compressed(t, "12345"))} {
		for limit, want := range map[int64]error{5: nil, 4: ErrTooLong} {
			r := Text(t.Context(), strings.NewReader(stored)).(*text)
			r.max = limit
			got, err := io.ReadAll(r)
			if !errors.Is(err, want) || string(got) != "12345"[:limit] {
				t.Errorf("limit %d: %q, %v", limit, got, err)
			}
		}
	}
}

func TestReadingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f, err := Open(ctx, bytes.NewReader(compressed(t, "12345")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(f); !errors.Is(err, context.Canceled) || errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
	if _, err := Open(ctx, strings.NewReader("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("open: %v", err)
	}
}

// FuzzText holds the reader to its limits whatever a slave stores, and to the
// standard library's idea of what is unpacked.
func FuzzText(f *testing.F) {
	f.Add([]byte("plain text\n"))
	f.Add(compressed(f, strings.Repeat("cc -c x.c\n", 100)))
	f.Add(append(compressed(f, "a"), compressed(f, "b")...))
	f.Add([]byte(magic + "\x08 a name without end"))
	f.Add([]byte(magic + "\x04\x00\x00\x00\x00\x00\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, stored []byte) {
		r := Text(t.Context(), bytes.NewReader(stored)).(*text)
		r.max = 1 << 16
		got, err := io.ReadAll(r)
		if len(got) > 1<<16 {
			t.Fatalf("%d bytes", len(got))
		}
		if err != nil && !errors.Is(err, ErrTooLong) && !errors.Is(err, ErrDamaged) {
			t.Fatalf("an error of no kind: %v", err)
		}
		want, wantErr := plainly(stored)
		if wantErr == nil && len(want) <= 1<<16 && (err != nil || !bytes.Equal(got, want)) {
			t.Errorf("%d bytes, %v; want %d", len(got), err, len(want))
		}
		if wantErr != nil && err == nil {
			t.Errorf("taken, but %v", wantErr)
		}
	})
}

func plainly(stored []byte) ([]byte, error) {
	if !bytes.HasPrefix(stored, []byte(magic)) {
		return stored, nil
	}
	z, err := stdgzip.NewReader(bytes.NewReader(stored))
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return io.ReadAll(io.LimitReader(z, 1<<17))
}
