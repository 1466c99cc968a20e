package wheel

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	kflate "github.com/klauspost/compress/flate"
)

// BenchmarkVerify compares a verification with the plain way of unpacking and
// hashing the same bytes with archive/zip, in the same run. The budget is 1.5
// times the plain way (design 10). What is compared is CPU time: the machine may have
// other work to do.
func BenchmarkVerify(b *testing.B) {
	for _, c := range []struct {
		what  string
		files int
		size  int
	}{{"large-files", 20, 2 << 20}, {"small-files", 2400, 10 << 10}} {
		wheel := madeWheel(c.files, c.size)
		for _, fast := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/plain-with-klauspost=%v", c.what, fast), func(b *testing.B) { compare(b, wheel, fast) })
		}
	}
}

func compare(b *testing.B, wheel []byte, fast bool) {
	var ours, theirs time.Duration
	b.SetBytes(int64(len(wheel)))
	b.ReportAllocs()
	for b.Loop() {
		t0 := cpuTime(b)
		if r := check(b, wheel, goodName); !r.Accepted {
			b.Fatalf("%+v", r.Findings[:min(3, len(r.Findings))])
		}
		t1 := cpuTime(b)
		plain(b, wheel, fast)
		ours, theirs = ours+t1-t0, theirs+cpuTime(b)-t1
	}
	b.ReportMetric(ours.Seconds()/theirs.Seconds(), "x-plain")
	b.ReportMetric(float64(len(wheel))*float64(b.N)/1e6/ours.Seconds(), "MB-zip/s")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// plain unpacks every file and hashes it.
func plain(b *testing.B, wheel []byte, fast bool) {
	z, err := zip.NewReader(bytes.NewReader(wheel), int64(len(wheel)))
	if err != nil {
		b.Fatal(err)
	}
	if fast {
		z.RegisterDecompressor(zip.Deflate, kflate.NewReader)
	}
	h, buf := sha256.New(), make([]byte, 64<<10)
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.CopyBuffer(h, r, buf); err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
	h.Sum(nil)
}

// madeWheel has files that compress about as compiled code does, three or four to one.
func madeWheel(files, size int) []byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	words := make([][]byte, 3000)
	for i := range words {
		words[i] = make([]byte, 2+rnd.IntN(10))
		for j := range words[i] {
			words[i][j] = byte(rnd.IntN(256))
		}
	}
	r := good()
	for i := range files {
		var data bytes.Buffer
		for data.Len() < size {
			data.Write(words[rnd.IntN(1+rnd.IntN(len(words)))])
		}
		r.files = append(r.files, file{name: fmt.Sprintf("demo_pkg/%d.so", i), data: data.String(), method: 8})
	}
	return r.build()
}
