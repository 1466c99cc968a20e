package wheel

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"pinwheel/internal/pep"
)

// The platforms of the wheel that is copied, and of its copy.
const (
	copiedFrom = "linux_armv7l"
	copiedTo   = "linux_armv6l"
)

// CopyName is the file name of the copy for armv6l (PEP 427). The error says why there
// can be none.
func CopyName(filename string) (string, error) {
	name, err := pep.ParseWheelName(filename)
	if err != nil {
		return "", err
	}
	stem, ok := strings.CutSuffix(filename, "-"+copiedFrom+".whl")
	if !ok || name.PlatformTag != copiedFrom {
		return "", fmt.Errorf("copy %s: %w: it is not for %s alone", printable(filename, 200), ErrNoCopy, copiedFrom)
	}
	return stem + "-" + copiedTo + ".whl", nil
}

// ErrNoCopy says that Copy cannot be made of this wheel, however often it is tried.
var ErrNoCopy = errors.New("no copy for armv6l can be made of it")

// Copy writes a wheel for armv6l to w: the size bytes of r, a wheel for linux_armv7l that
// Verify has accepted, with other tags in WHEEL and another row for WHEEL in RECORD. All
// else is the same, packed bytes and all. The same wheel gives the same copy, whatever
// program of whatever version makes it. An error that is not ErrNoCopy is of r, w or ctx.
func Copy(ctx context.Context, w io.Writer, r io.ReaderAt, size int64, filename string) error {
	if _, err := CopyName(filename); err != nil {
		return err
	}
	in, out := &readerAt{source: source{ctx: ctx, r: r, size: size}}, &writer{w: w}
	z, err := zip.NewReader(in, size)
	if err == nil {
		err = copyEntries(zip.NewWriter(out), z)
	}
	if outside := errors.Join(in.err, out.err); outside != nil {
		err = outside
	} else if err != nil {
		err = fmt.Errorf("%w: %w", ErrNoCopy, err)
	}
	if err != nil {
		return fmt.Errorf("copy %s: %w", printable(filename, 200), err)
	}
	return nil
}

// readerAt is a source that keeps its first error, apart from what archive/zip makes of it.
type readerAt struct {
	source
	err error
}

func (r *readerAt) ReadAt(p []byte, off int64) (int, error) {
	n := int(min(int64(len(p)), max(0, r.size-off)))
	if err := r.fill(p[:n], off); err != nil {
		r.err = cmp.Or(r.err, err)
		return 0, err
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// writer keeps its first error.
type writer struct {
	w   io.Writer
	err error
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.err = cmp.Or(w.err, err)
	return n, err
}

func copyEntries(to *zip.Writer, from *zip.Reader) error {
	wheelFile, err := only(from, "/WHEEL")
	if err != nil {
		return err
	}
	recordFile, err := only(from, "/RECORD")
	if err != nil {
		return err
	}
	tags, err := retag(wheelFile)
	if err != nil {
		return err
	}
	record, err := rerecord(recordFile, wheelFile.Name, tags)
	if err != nil {
		return err
	}
	for _, f := range from.File {
		switch f {
		case wheelFile:
			err = writeStored(to, f, tags)
		case recordFile:
			err = writeStored(to, f, record)
		default:
			err = copyRaw(to, f)
		}
		if err != nil {
			return err
		}
	}
	if err := to.SetComment(from.Comment); err != nil {
		return err
	}
	return to.Close()
}

// only finds a file of the one .dist-info at the top.
func only(z *zip.Reader, suffix string) (found *zip.File, err error) {
	for _, f := range z.File {
		top, ok := strings.CutSuffix(f.Name, suffix)
		if !ok || strings.Contains(top, "/") || !strings.HasSuffix(strings.ToLower(top), ".dist-info") {
			continue
		}
		if found != nil {
			return nil, errors.New("two .dist-info folders")
		}
		found = f
	}
	if found == nil {
		return nil, errors.New("no .dist-info" + suffix)
	}
	return found, nil
}

func readAll(f *zip.File, most int64) ([]byte, error) {
	if f.UncompressedSize64 > uint64(most) {
		return nil, fmt.Errorf("%s has more than %d bytes", f.Name, most)
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

// retag makes the new WHEEL: each Tag for the one platform is for the other. No other
// byte changes.
func retag(f *zip.File) ([]byte, error) {
	b, err := readAll(f, DefaultLimits().WheelFile)
	if err != nil {
		return nil, err
	}
	var out []byte
	tags := 0
	for line := range bytes.Lines(b) {
		text := bytes.TrimRight(line, "\r\n")
		key, value, _ := strings.Cut(string(text), ":")
		if strings.EqualFold(strings.TrimSpace(key), "Tag") {
			kept, ok := strings.CutSuffix(strings.TrimRight(value, " \t"), "-"+copiedFrom)
			if !ok {
				return nil, fmt.Errorf("%s has the tag %s", f.Name, printable(strings.TrimSpace(value), 60))
			}
			out = append(out, key+":"+kept+"-"+copiedTo...)
			out = append(out, line[len(text):]...)
			tags++
			continue
		}
		out = append(out, line...)
	}
	if tags == 0 {
		return nil, fmt.Errorf("%s has no Tag", f.Name)
	}
	return out, nil
}

// rerecord makes the new RECORD: the row of WHEEL has the new hash and size. Rows are
// lines, since no name with a line break is accepted.
func rerecord(f *zip.File, wheelName string, wheel []byte) ([]byte, error) {
	b, err := readAll(f, DefaultLimits().Record)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(wheel)
	row := []string{wheelName, "sha256=" + base64.RawURLEncoding.EncodeToString(sum[:]), fmt.Sprint(len(wheel))}
	out := make([]byte, 0, len(b)+100)
	rows := 0
	for line := range bytes.Lines(b) {
		text := bytes.TrimRight(line, "\r\n")
		fields, err := csv.NewReader(bytes.NewReader(text)).Read()
		if err == nil && fields[0] == wheelName {
			var as bytes.Buffer
			if err := csvRow(&as, row); err != nil {
				return nil, err
			}
			out = append(append(out, as.Bytes()...), line[len(text):]...)
			rows++
			continue
		}
		out = append(out, line...)
	}
	if rows != 1 {
		return nil, fmt.Errorf("%s has %d rows for WHEEL", f.Name, rows)
	}
	return out, nil
}

// csvRow writes a row without the end of its line.
func csvRow(to *bytes.Buffer, row []string) error {
	w := csv.NewWriter(to)
	if err := w.Write(row); err != nil {
		return err
	}
	w.Flush()
	to.Truncate(to.Len() - 1)
	return w.Error()
}

// writeStored writes a changed file, with name, time and mode of the one before. It is
// not compressed: a compressor of another version would make other bytes of it.
func writeStored(to *zip.Writer, f *zip.File, b []byte) error {
	h := header(f)
	h.Method = zip.Store
	h.CRC32 = crc32.ChecksumIEEE(b)
	h.CompressedSize64, h.UncompressedSize64 = uint64(len(b)), uint64(len(b))
	w, err := to.CreateRaw(h)
	if err == nil {
		_, err = w.Write(b)
	}
	return err
}

// copyRaw copies a file as it is packed.
func copyRaw(to *zip.Writer, f *zip.File) error {
	h := header(f)
	if strings.HasSuffix(h.Name, "/") {
		h.Method, h.CompressedSize64 = zip.Store, 0 // some compress the nothing of a folder
		_, err := to.CreateRaw(h)
		return err
	}
	r, err := f.OpenRaw()
	if err != nil {
		return err
	}
	w, err := to.CreateRaw(h)
	if err == nil {
		_, err = io.Copy(w, r)
	}
	return err
}

// header is a file's, with its sizes in their place: not behind the file, nor among its
// extra fields as 64-bit numbers, for which no wheel that is accepted is large enough.
func header(f *zip.File) *zip.FileHeader {
	h := f.FileHeader
	h.Flags &^= flagDescriptor
	h.Extra = nil
	const id64 = 1
	for b := f.Extra; len(b) >= 4; {
		n := 4 + int(binary.LittleEndian.Uint16(b[2:]))
		if n > len(b) {
			break
		}
		if binary.LittleEndian.Uint16(b) != id64 {
			h.Extra = append(h.Extra, b[:n]...)
		}
		b = b[n:]
	}
	return &h
}

// CopyTags are the tags of the copy of a wheel with these.
func CopyTags(tags []string) []string {
	out := make([]string, len(tags))
	for i, t := range tags {
		out[i] = strings.TrimSuffix(t, copiedFrom) + copiedTo
	}
	return out
}
