package wheel

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Severity says whether a finding alone is a reason to refuse the wheel.
type Severity string

// The severities of findings.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Finding is one thing that is wrong, or odd, about a wheel.
type Finding struct {
	Code     string   `json:"code"` // stable short words in kebab case, see the constants
	Severity Severity `json:"severity"`
	Entry    string   `json:"entry"`   // the entry of the zip, quoted where it is not printable; "" for the wheel as a whole
	Message  string   `json:"message"` // one printable line
}

// Codes about the file name and the tags in it.
const (
	CodeFilename        = "filename"         // does not parse, or has characters that no file name needs
	CodeFilenameLength  = "filename-length"  //
	CodeFilenameName    = "filename-name"    // another project
	CodeFilenameVersion = "filename-version" // another version
	CodeTagPlatform     = "tag-platform"     // neither the target's platform nor any
	CodeTagABI          = "tag-abi"          // promises an ABI that nothing here was built for
	CodeTagUnsupported  = "tag-unsupported"  // no tag that the target's Python accepts
)

// Codes about the zip as a container.
const (
	CodeFileSize       = "file-size"        // more bytes than any wheel may have
	CodeNotZip         = "not-zip"          // no end record, empty, truncated
	CodeZipTrailing    = "zip-trailing"     // bytes behind the end record
	CodeZipEndRecord   = "zip-end-record"   // more than one end record could be meant
	CodeZipMultiDisk   = "zip-multi-disk"   //
	CodeZip64          = "zip-zip64"        // zip64 fields that are missing, doubled or contradict
	CodeZipDirectory   = "zip-directory"    // central directory malformed or not where the end record says
	CodeZipEntryCount  = "zip-entry-count"  // the end record counts otherwise
	CodeZipTooMany     = "zip-too-many"     // more entries than the limit
	CodeZipEncrypted   = "zip-encrypted"    //
	CodeZipFlags       = "zip-flags"        // flags with a meaning that readers disagree on
	CodeZipMethod      = "zip-method"       // neither stored nor deflated
	CodeZipExtra       = "zip-extra"        // extra fields malformed
	CodeZipUnicodePath = "zip-unicode-path" // extra field 0x7075 gives the entry a second name
	CodeZipLocalHeader = "zip-local-header" // missing, or disagrees with the central directory
	CodeZipDescriptor  = "zip-descriptor"   // data descriptor missing or lying
	CodeZipOverlap     = "zip-overlap"      // two entries share bytes
	CodeZipGap         = "zip-gap"          // bytes that belong to no entry
	CodeZipData        = "zip-data"         // compressed data broken, or more of it than used
	CodeZipSize        = "zip-size"         // size is not the declared one
	CodeZipCRC         = "zip-crc"          //
	CodeBombTotal      = "bomb-total"       // unpacks to more than the limit
	CodeBombRatio      = "bomb-ratio"       // large and compressed beyond what data does
)

// Codes about what a verification may cost. It ends there.
const (
	CodeCostTime = "cost-time" // of all of it
	CodeCostELF  = "cost-elf"  // of reading ELF files
)

// Codes about names and modes of entries.
const (
	CodeNameEncoding  = "zip-name-encoding"     // not UTF-8, or not said to be
	CodeNameLength    = "zip-name-length"       //
	CodeNameDepth     = "zip-name-depth"        //
	CodeNameCharacter = "zip-name-character"    // control, bidirectional and invisible characters
	CodeTraversal     = "zip-traversal"         // . and .. and empty components
	CodeAbsolute      = "zip-absolute"          // leading slash, drive letter
	CodeBackslash     = "zip-backslash"         //
	CodeDuplicate     = "zip-duplicate"         // same name twice, or same place once installed
	CodeDuplicateCase = "zip-duplicate-case"    // same name but for case or Unicode form
	CodeFileAsFolder  = "zip-file-as-folder"    // a file, and others below it
	CodeSymlink       = "zip-symlink"           //
	CodeSpecialFile   = "zip-special-file"      // device, fifo, socket
	CodeSetuid        = "zip-setuid"            // set-uid, set-gid, sticky
	CodeMode          = "zip-mode"              // name says file, mode says folder, or the reverse
	CodeFolderContent = "zip-directory-content" // a folder that has bytes
)

// Codes about .dist-info, .data and what stands in them.
const (
	CodeDistInfoMissing = "dist-info-missing"
	CodeDistInfoSeveral = "dist-info-several"
	CodeDistInfoName    = "dist-info-name" // of another project or version
	CodeDistInfoHidden  = "dist-info-hidden"
	CodeDataName        = "data-name"    // .data of another project or version
	CodeDataScheme      = "data-scheme"  // not one of the five that installers know
	CodeDataModules     = "data-modules" // data below site-packages or dist-packages
	CodeMetadataMissing = "metadata-missing"
	CodeMetadataSize    = "metadata-size"
	CodeMetadata        = "metadata-invalid"
	CodeMetadataName    = "metadata-name"
	CodeMetadataVersion = "metadata-version"
	CodeMetadataNewer   = "metadata-newer"  // warning: a minor version that is not known yet
	CodeRequiresPython  = "requires-python" // warning: cannot be read, or excludes the target
	CodeWheelMissing    = "wheel-missing"
	CodeWheelSize       = "wheel-size"
	CodeWheel           = "wheel-invalid"
	CodeWheelVersion    = "wheel-version"
	CodeWheelTags       = "wheel-tags"    // not the tags of the file name
	CodeWheelBuild      = "wheel-build"   // not the build number of the file name
	CodeWheelPurelib    = "wheel-purelib" // warning: Root-Is-Purelib under a platform tag
)

// Codes about RECORD, and about what the files are.
const (
	CodeRecordMissing   = "record-missing" // no RECORD at all
	CodeRecordSize      = "record-size"    // RECORD itself is too long
	CodeRecordCSV       = "record-csv"
	CodeRecordColumns   = "record-columns"
	CodeRecordDuplicate = "record-duplicate"
	CodeRecordExtra     = "record-extra"     // a row without a file
	CodeRecordUnlisted  = "record-unlisted"  // a file without a row
	CodeRecordNoHash    = "record-no-hash"   //
	CodeRecordWeak      = "record-weak-hash" // md5, sha1, or an algorithm that is not known
	CodeRecordHash      = "record-hash"
	CodeRecordLength    = "record-length"    // the size in the row is not the file's
	CodeRecordNoLength  = "record-no-length" // warning
	CodeRecordFolder    = "record-folder"    // warning: a row for a folder
	CodeRecordSelf      = "record-self"      // RECORD lists itself with a hash, or (a warning) not at all
	CodeELFMachine      = "elf-machine"      // to be loaded, and this machine cannot load it
	CodeELFForeign      = "elf-foreign"      // warning: another machine's ELF as data
	CodeELFGlibc        = "elf-glibc"        // needs a newer glibc than the target has
	CodeELFGlibcData    = "elf-glibc-data"   // warning: the same of data
	CodeELFMalformed    = "elf-malformed"    // cannot be read; of data a warning
	CodeMore            = "more-findings"    // the report was full
)

// flaw is a finding on its way up as an error: what stands behind it in the
// order of checks would stand on nothing, so the verification ends there.
type flaw struct{ Finding }

func (f flaw) Error() string { return f.Message }

func newFlaw(code, entry, format string, args ...any) error {
	return flaw{Finding{Code: code, Severity: Error, Entry: entry, Message: fmt.Sprintf(format, args...)}}
}

// spent is a flaw of the wheel as a whole, that it costs too much: there is no going on
// with the next file.
type spent struct{ flaw }

func (s spent) Unwrap() error { return s.flaw }

func newSpent(code, format string, args ...any) error {
	return spent{flaw{Finding{Code: code, Severity: Error, Message: fmt.Sprintf(format, args...)}}}
}

// findings gathers up to max of them, and knows of errors beyond that.
type findings struct {
	list   []Finding
	max    int
	beyond int
	errors int
}

func (f *findings) reject(code, entry, format string, args ...any) {
	f.add(Finding{Code: code, Severity: Error, Entry: entry, Message: fmt.Sprintf(format, args...)})
}

func (f *findings) warn(code, entry, format string, args ...any) {
	f.add(Finding{Code: code, Severity: Warning, Entry: entry, Message: fmt.Sprintf(format, args...)})
}

func (f *findings) add(x Finding) {
	if x.Severity == Error {
		f.errors++
	}
	if len(f.list) >= f.max {
		f.beyond++
		return
	}
	// Names come from the wheel and end in logs, terminals and pages.
	x.Entry, x.Message = printable(x.Entry, 200), printable(x.Message, 400)
	f.list = append(f.list, x)
}

// all returns the findings; the last of a full report says how many are not in it.
func (f *findings) all() []Finding {
	if f.beyond == 0 {
		return f.list
	}
	s := Warning
	if f.errors > 0 {
		s = Error
	}
	return append(f.list, Finding{Code: CodeMore, Severity: s, Message: fmt.Sprintf("and %d more", f.beyond)})
}

// printable makes s fit for one line of a log: quoted where it has invisible
// characters, and cut at max bytes.
func printable(s string, max int) string {
	cut := s
	if len(cut) > max {
		cut = strings.ToValidUTF8(cut[:max], "") + "…"
	}
	for _, r := range cut {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return strconv.QuoteToASCII(cut)
		}
	}
	return cut
}
