// Package wheel opens a wheel that a stranger sent and says whether the farm may
// publish it under the name that it claims (PEP 427, PEP 376, design section 7).
//
// Input is the wheel's bytes, the file name, and the release and target of the
// job it was built for. Output is a Report with every finding, each with a stable
// code. The package owns nothing and writes nothing, so a crash leaves nothing.
//
// It trusts nothing: the zip is read by a parser of its own, which takes only
// archives that all readers understand alike, byte for byte; every file is
// unpacked, in bounded memory and time, and held against RECORD. It never runs what
// it reads and never repairs a wheel; on the disk it keeps only large ELF files and archives,
// while it reads them, under no name.
//
// Copy makes a wheel that was accepted one for armv6l, if its Report has the proof.
package wheel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"pinwheel/internal/elffile"
	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
)

// Expect is what the wheel must be: the release and target of its job.
type Expect struct {
	Name    string // normalized (PEP 503)
	Version pep.Version
	Target  farm.Target

	Glibc        string // of the target, "2.36"; "" is not known, and then not held against anything
	VouchesARMv6 bool   // the target's compiler makes code for ARMv6 with VFPv2
}

// Report is what a verification found.
type Report struct {
	Accepted      bool // no finding is an error
	Findings      []Finding
	Tags          []string // of the file name, expanded and sorted (PEP 425)
	Name          pep.WheelName
	Metadata      pep.Metadata
	MetadataBytes []byte // METADATA as it is in the wheel; nil if it cannot be read
	Size          int64
	SHA256        string // of the wheel, in hex; "" if it is too large to be read

	ELF   []farm.ELF  // its ELF files, those of archives too, in the order of the wheel
	ARMv6 *farm.Proof // whether it may be copied for armv6l; nil: it is for no linux_armv7l
}

// Verify checks the size bytes of r, a wheel called filename, with DefaultLimits.
// What is wrong with the wheel is in the report; an error means that r could not
// be read or ctx is done, and says nothing about the wheel.
func Verify(ctx context.Context, r io.ReaderAt, size int64, filename string, want Expect) (Report, error) {
	return DefaultLimits().Verify(ctx, r, size, filename, want)
}

// Verify is the function Verify with other limits.
func (l Limits) Verify(ctx context.Context, r io.ReaderAt, size int64, filename string, want Expect) (Report, error) {
	v := &verifier{
		lim:   l,
		want:  want,
		src:   &source{ctx: ctx, r: r, size: size, time: newTimer(l)},
		elf:   elves{spool: elffile.Spool{Dir: l.Scratch}, budget: l.ELF},
		found: findings{list: []Finding{}, max: l.Findings},
	}
	defer v.elf.spool.Close()
	v.elf.budget.Check = v.src.alive
	v.report.Size = size
	v.checkFilename(filename)
	v.seekCode()
	// Each step stands on the one before: a flaw that is returned ends them.
	for _, step := range []func() error{v.hashFile, v.openZip, v.readDistInfo, v.checkFiles, v.checkELF} {
		err := step()
		if f := (flaw{}); errors.As(err, &f) {
			v.found.add(f.Finding)
			break
		}
		if err != nil {
			return Report{}, fmt.Errorf("verify wheel %s: %w", printable(filename, 200), err)
		}
	}
	v.report.Findings = v.found.all()
	v.report.Accepted = v.found.errors == 0
	return v.report, nil
}

// verifier is one verification.
type verifier struct {
	lim     Limits
	want    Expect
	src     *source
	found   findings
	report  Report
	named   bool // the file name could be parsed
	entries []entry
	inflate *inflater
	record  string          // the name of RECORD's entry
	rows    map[string]*row // nil without a RECORD that can be read
	elf     elves
	inner   *inner // nil: nobody asks what is inside of other files
}

// note makes a finding of a flaw after which others can be found, and passes on every
// other error.
func (v *verifier) note(err error) error {
	var f flaw
	if errors.As(err, &spent{}) || !errors.As(err, &f) {
		return err
	}
	v.found.add(f.Finding)
	return nil
}

// checkFilename holds the file name against the job.
func (v *verifier) checkFilename(filename string) {
	if len(filename) > v.lim.Filename {
		v.found.reject(CodeFilenameLength, "", "a file name of %d bytes; at most %d are taken", len(filename), v.lim.Filename)
		return
	}
	name, err := pep.ParseWheelName(filename)
	if err != nil {
		v.found.reject(CodeFilename, "", "%v", err)
		return
	}
	v.named, v.report.Name, v.report.Tags = true, name, tagStrings(name.Tags)
	if name.Name() != v.want.Name {
		v.found.reject(CodeFilenameName, "", "the file name is of %s, want %s", name.Name(), v.want.Name)
	}
	if !name.Version.Equal(v.want.Version) {
		v.found.reject(CodeFilenameVersion, "", "the file name is of version %s, want %s", name.RawVersion, v.want.Version)
	}
	checkTags(name.Tags, v.want.Target, &v.found)
}

// hashPiece is how many bytes are read and hashed at once.
const hashPiece = 128 << 10

func (v *verifier) hashFile() error {
	if v.src.size > v.lim.FileSize {
		return newFlaw(CodeFileSize, "", "%d bytes; at most %d are taken", v.src.size, v.lim.FileSize)
	}
	if v.src.size <= hashPiece {
		return v.hashSmall()
	}
	h := sha256.New()
	sec := &section{src: v.src, left: v.src.size}
	if _, err := io.CopyBuffer(h, sec, make([]byte, hashPiece)); err != nil {
		return err
	}
	v.report.SHA256 = hex.EncodeToString(h.Sum(nil))
	return nil
}

// hashSmall takes all of a small wheel into memory: what follows would read it several
// times, a few bytes at once.
func (v *verifier) hashSmall() error {
	all, err := v.src.read(0, int(v.src.size))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(all)
	v.report.SHA256 = hex.EncodeToString(sum[:])
	v.src.r = bytes.NewReader(all)
	return nil
}

func (v *verifier) openZip() (err error) {
	if v.entries, err = readEntries(v.src, v.lim, &v.found); err != nil {
		return err
	}
	for i := range v.entries {
		if i%1000 == 0 {
			if err := v.src.alive(); err != nil {
				return err
			}
		}
		checkEntry(&v.entries[i], v.lim, &v.found)
	}
	checkNames(v.entries, &v.found)
	return nil
}

func (v *verifier) readDistInfo() error {
	largest := int64(0)
	for i := range v.entries {
		largest = max(largest, v.entries[i].size)
	}
	v.inflate = newInflater(v.src.size, largest)
	dir := v.findDistInfo()
	if dir == "" {
		return nil
	}
	v.record = dir + "/RECORD"
	return errors.Join(v.readMetadata(dir), v.readWheelFile(dir), v.readRecord(dir))
}
