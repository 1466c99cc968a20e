package bench_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"pinwheel/internal/pep"
	"pinwheel/internal/pypi"
)

const (
	pypiNames     = 886_324    // in the list of 2026
	pypiReleases  = 9          // of a project, in the mean
	pypiSerial    = 30_000_000 // of the list; every project's is lower
	pypiYears     = 15
	pypiLastMonth = 2026*12 + 10 // no release is newer: months since the year 0
)

// drawn is an upstream that holds nothing: all facts of a project are drawn from
// its name, so the process that reads it has no memory of its own for it, and two
// processes see the same.
type drawn struct {
	count int    // of generated names
	file  string // of names, one a line; empty: they are generated
}

// drawnFrom is what the environment asks for: PYPI_NAMES, a file, or
// PINWHEEL_BENCH_NAMES, how many; else a full PyPI.
func drawnFrom(env func(string) string) (drawn, error) {
	d := drawn{count: pypiNames, file: env("PYPI_NAMES")}
	text := env("PINWHEEL_BENCH_NAMES")
	if text == "" {
		return d, nil
	}
	var err error
	if d.count, err = strconv.Atoi(text); err != nil || d.count < 1 {
		return d, fmt.Errorf("PINWHEEL_BENCH_NAMES is %q: want how many names", text)
	}
	return d, nil
}

// names are normalized; a list may name one twice.
func (d drawn) names() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if d.file == "" {
			for i := range d.count {
				if !yield(drawName(i), nil) {
					return
				}
			}
			return
		}
		f, err := os.Open(d.file)
		if err != nil {
			yield("", err)
			return
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for n := 0; n < d.count && lines.Scan(); {
			if name := pep.NormalizeName(strings.TrimSpace(lines.Text())); name != "" {
				n++
				if !yield(name, nil) {
					return
				}
			}
		}
		if lines.Err() != nil {
			yield("", lines.Err())
		}
	}
}

// drawName makes names of 5 to 33 characters, 14 in the mean, no two alike.
func drawName(i int) string {
	r := rand.New(rand.NewPCG(uint64(i), 1))
	const letters = "eeeaaaiiooutttnnrrsslldmpcybghfkwvjxqz"
	var b []byte
	word := func(n int) {
		for range n {
			b = append(b, letters[r.IntN(len(letters))])
		}
	}
	word(2 + r.IntN(8) + r.IntN(8))
	if r.IntN(5) < 2 {
		b = append(b, '-')
	}
	if r.IntN(8) == 0 {
		word(r.IntN(11))
	}
	return string(b) + strconv.FormatInt(int64(i), 36)
}

// Names tells the whole list, as ingest's walks ask for it.
func (d drawn) Names(_ context.Context, _ string, visit func(pypi.Listed) error) (pypi.NamesInfo, error) {
	info := pypi.NamesInfo{Serial: pypiSerial, Serials: true}
	for name, err := range d.names() {
		if err == nil {
			err = visit(pypi.Listed{Name: name, Display: name, Serial: 1 + int64(seed(name)%(pypiSerial-1))})
		}
		if err != nil {
			return info, err
		}
		info.Count++
	}
	return info, nil
}

// Changes and LastSerial: nothing changes while it is loaded.
func (d drawn) Changes(_ context.Context, since int64) (pypi.Changes, error) {
	return pypi.Changes{Last: since}, nil
}

func (d drawn) LastSerial(context.Context) (int64, error) { return pypiSerial, nil }

// ProjectAt draws a project.
func (d drawn) ProjectAt(_ context.Context, name string, _ pypi.Seen, _ int64) (pypi.Project, error) {
	return drawProject(name), nil
}

func seed(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // a hash takes everything
	return h.Sum64()
}

// drawProject makes nine releases over the years since it began: a third of the
// projects have wheels for everybody, some have those of one machine only, one in
// seven needs a newer Python in the end, one release in fifty is yanked, one in
// twelve has no sdist, and one project in fifty began before versions had rules.
func drawProject(name string) pypi.Project {
	s := seed(name)
	r := rand.New(rand.NewPCG(s, 2))
	p := pypi.Project{Name: name, Display: name, Serial: 1 + int64(s%(pypiSerial-1)), Status: "active"}
	p.ETag = strconv.Quote(strconv.FormatUint(s, 16))
	end := time.Date(0, pypiLastMonth, 1, 0, 0, 0, 0, time.UTC)
	began := end.Add(-time.Duration(r.Int64N(pypiYears * 365 * 24 * int64(time.Hour))))
	step := end.Sub(began) / pypiReleases
	wheels, newer, legacy := r.IntN(6), r.IntN(7) == 0, r.IntN(50) == 0
	for k := range pypiReleases {
		if k == 0 && legacy {
			p.Releases = append(p.Releases, pypi.Release{Raw: "2004-beta!", Legacy: true, Uploaded: began})
			continue
		}
		at := began.Add(step*time.Duration(k) + time.Duration(r.Int64N(int64(step)+1))).Truncate(time.Second)
		p.Releases = append(p.Releases, drawRelease(r, name, k, at, wheels, newer && k > 5))
	}
	return p
}

func drawRelease(r *rand.Rand, name string, k int, at time.Time, wheels int, newer bool) pypi.Release {
	raw := strconv.Itoa(k/3) + "." + strconv.Itoa(k%3)
	v, err := pep.ParseVersion(raw)
	if err != nil {
		panic(err) // two numbers are a version
	}
	out := pypi.Release{Version: v, Raw: raw, Uploaded: at, RequiresPython: ">=3.6"}
	if newer {
		out.RequiresPython = ">=3.10"
	}
	if r.IntN(50) == 0 {
		out.Yanked, out.YankReason = true, "broken"
	}
	without := r.IntN(12) == 0
	if !without {
		f := drawFile(r, strings.ReplaceAll(name, "-", "_")+"-"+raw+".tar.gz", out)
		out.Sdist = &f
	}
	tag := map[int]string{0: "py3-none-any", 1: "py3-none-any", 2: "cp311-cp311-manylinux_2_17_x86_64"}[wheels]
	if without && tag == "" {
		tag = "py3-none-any"
	}
	if tag != "" {
		out.Wheels = []pypi.File{drawFile(r, strings.ReplaceAll(name, "-", "_")+"-"+raw+"-"+tag+".whl", out)}
	}
	return out
}

func drawFile(r *rand.Rand, filename string, of pypi.Release) pypi.File {
	var sum [32]byte
	for i := range sum {
		sum[i] = byte(r.Uint32())
	}
	hash := hex.EncodeToString(sum[:])
	return pypi.File{
		Filename: filename, SHA256: hash, Size: 1000 + r.Int64N(200_000), Uploaded: of.Uploaded,
		URL:            "http://f.example/packages/" + hash[:2] + "/" + hash[2:4] + "/" + hash[4:60] + "/" + filename,
		RequiresPython: of.RequiresPython, Yanked: of.Yanked, YankReason: of.YankReason,
	}
}
