package wheel

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
)

// target is the one that the conformance wheels were made for.
func target() farm.Target { return farm.Target{ABI: "cp311", Platform: "linux_armv7l"} }

const goodName = "demo_pkg-1.0-cp311-cp311-linux_armv7l.whl"

// want is what the job of the conformance wheels expects.
func want() Expect {
	v, err := pep.ParseVersion("1.0")
	if err != nil {
		panic(err)
	}
	return Expect{Name: "demo-pkg", Version: v, Target: target()}
}

// file is one entry of a wheel made by a test. Everything but name and data has
// an honest default; the pointers are lies to be told instead.
type file struct {
	name, data    string
	mode          uint32 // of Unix; 0 means a plain file (a folder if the name says so)
	flags         uint16
	method        uint16 // stored unless 8
	desc          int    // length of the data descriptor: 0, 12, 16, 20 or 24
	zeroLocal     bool   // sizes and CRC only in the descriptor
	extra         string // of both headers
	localExtra    string
	noRow         bool // not in RECORD
	packedAlready bool // data are deflated
	gap           string

	localName   *string
	localFlags  *uint16
	localMethod *uint16
	localSize   *uint32
	crc         *uint32
	size        *uint32
	packed      *uint32
	offset      *uint32
	disk        uint16
	tail        string // bytes behind the deflated data, counted as packed
	descLie     uint32 // added to the descriptor's size
	attrs       uint32 // the lower half of the external attributes
}

// recipe is a wheel to be made.
type recipe struct {
	files    []file
	metadata string
	wheel    string
	record   func(rows []string) string // nil: the rows and RECORD itself
	prefix   string
	beforeCD string
	end      func(count int, size, offset uint32) string // nil: a plain end record
	comment  string
	trailing string
	distInfo string
}

const (
	goodMetadata = "Metadata-Version: 2.1\nName: demo_pkg\nVersion: 1.0\n\nText\n"
	goodWheel    = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: cp311-cp311-linux_armv7l\n"
)

func ptr[T any](v T) *T { return &v }

// good is a wheel that must be accepted, with the files added.
func good(files ...file) recipe {
	return recipe{
		files:    append([]file{{name: "demo_pkg/__init__.py", data: "x = 1\n", method: 8}}, files...),
		metadata: goodMetadata, wheel: goodWheel, distInfo: "demo_pkg-1.0.dist-info",
	}
}

func recordRow(name, data string) string {
	sum := sha256.Sum256([]byte(data))
	if strings.ContainsAny(name, "\",\r\n") {
		name = `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	}
	return fmt.Sprintf("%s,sha256=%s,%d", name, base64.RawURLEncoding.EncodeToString(sum[:]), len(data))
}

// build makes the bytes of the wheel.
func (r recipe) build() []byte {
	files := append([]file{}, r.files...)
	if r.metadata != "" {
		files = append(files, file{name: r.distInfo + "/METADATA", data: r.metadata, method: 8})
	}
	if r.wheel != "" {
		files = append(files, file{name: r.distInfo + "/WHEEL", data: r.wheel, method: 8})
	}
	var rows []string
	for _, f := range files {
		if !f.noRow && !strings.HasSuffix(f.name, "/") {
			rows = append(rows, recordRow(f.name, f.data))
		}
	}
	rows = append(rows, r.distInfo+"/RECORD,,")
	record := strings.Join(rows, "\n") + "\n"
	if r.record != nil {
		record = r.record(rows)
	}
	if r.distInfo != "" {
		files = append(files, file{name: r.distInfo + "/RECORD", data: record, method: 8})
	}
	return r.zip(files)
}

func (r recipe) zip(files []file) []byte {
	var body, dir bytes.Buffer
	body.WriteString(r.prefix)
	for _, f := range files {
		f.write(&body, &dir)
	}
	body.WriteString(r.beforeCD)
	offset, size := uint32(body.Len()), uint32(dir.Len())
	body.Write(dir.Bytes())
	if r.end != nil {
		body.WriteString(r.end(len(files), size, offset))
	} else {
		body.WriteString(endRecord(len(files), size, offset, r.comment))
	}
	body.WriteString(r.trailing)
	return body.Bytes()
}

func endRecord(count int, size, offset uint32, comment string) string {
	return pack(sigEnd, uint32(0), uint16(count), uint16(count), size, offset, uint16(len(comment)), comment)
}

// pack writes values one after the other, little-endian.
func pack(values ...any) string {
	var b bytes.Buffer
	for _, v := range values {
		if s, ok := v.(string); ok {
			b.WriteString(s)
		} else if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return b.String()
}

func deflate(data string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 6)
	w.Write([]byte(data))
	w.Close()
	return b.String()
}

func or[T any](lie *T, truth T) T {
	if lie != nil {
		return *lie
	}
	return truth
}

func (f file) write(body, dir *bytes.Buffer) {
	body.WriteString(f.gap)
	offset := uint32(body.Len())
	packed := f.data
	if f.method == 8 && !f.packedAlready {
		packed = deflate(f.data)
	}
	packed += f.tail
	if f.desc > 0 {
		f.flags |= flagDescriptor
	}
	if f.mode == 0 {
		f.mode = 0o100644
		if strings.HasSuffix(f.name, "/") {
			f.mode = 0o040755
		}
	}
	crc, size := or(f.crc, crc32.ChecksumIEEE([]byte(f.data))), or(f.size, uint32(len(f.data)))
	length := or(f.packed, uint32(len(packed)))
	lcrc, llength, lsize := crc, length, or(f.localSize, size)
	if f.zeroLocal {
		lcrc, llength, lsize = 0, 0, 0
	}
	lname, lextra := or(f.localName, f.name), f.extra+f.localExtra
	body.WriteString(pack(sigLocal, uint16(20), or(f.localFlags, f.flags), or(f.localMethod, f.method), uint32(0),
		lcrc, llength, lsize, uint16(len(lname)), uint16(len(lextra)), lname, lextra, packed))
	switch f.desc {
	case 12:
		body.WriteString(pack(crc, length, size+f.descLie))
	case 16:
		body.WriteString(pack(sigDescriptor, crc, length, size+f.descLie))
	case 20:
		body.WriteString(pack(crc, uint64(length), uint64(size+f.descLie)))
	case 24:
		body.WriteString(pack(sigDescriptor, crc, uint64(length), uint64(size+f.descLie)))
	}
	dir.WriteString(pack(sigCentral, uint16(0x0314), uint16(20), f.flags, f.method, uint32(0), crc, length, size,
		uint16(len(f.name)), uint16(len(f.extra)), uint16(0), f.disk, uint16(0), f.mode<<16|f.attrs,
		or(f.offset, offset), f.name, f.extra))
}

// check verifies b and returns the report.
func check(t testing.TB, b []byte, filename string) Report {
	t.Helper()
	r, err := Verify(t.Context(), bytes.NewReader(b), int64(len(b)), filename, want())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// codes lists the codes of a report's findings.
func codes(r Report) []string {
	all := []string{}
	for _, f := range r.Findings {
		all = append(all, f.Code)
	}
	return all
}
