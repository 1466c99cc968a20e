package wheel

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"pinwheel/internal/pep"
)

// Bounds of the head of METADATA: short fields and lines cost their parser far
// more memory than they have bytes.
const (
	maxFields = 10_000
	maxLines  = 100_000
)

// findDistInfo returns the name of the one .dist-info folder, "" without one.
func (v *verifier) findDistInfo() string {
	var tops []string
	for i := range v.entries {
		name := v.entries[i].name
		top, _, _ := strings.Cut(name, "/")
		switch lower := strings.ToLower(top); {
		case strings.HasSuffix(lower, ".dist-info"):
			if !slices.Contains(tops, top) && len(tops) < v.lim.Findings {
				tops = append(tops, top)
			}
		case strings.HasSuffix(lower, ".data"):
			v.checkData(name)
		}
	}
	if len(tops) == 0 {
		v.found.reject(CodeDistInfoMissing, "", "no .dist-info folder at the top of the wheel")
		return ""
	}
	for _, top := range tops[1:] {
		v.found.reject(CodeDistInfoSeveral, top, "a second .dist-info beside %s", printable(tops[0], 100))
	}
	if !v.isOurs(tops[0], ".dist-info") {
		v.found.reject(CodeDistInfoName, tops[0], "not the .dist-info of %s %s", v.want.Name, v.want.Version)
	}
	return tops[0]
}

// isOurs says whether a folder at the top is NAME-VERSION and the suffix, with
// name and version those of the job in any spelling (as for pip).
func (v *verifier) isOurs(top, suffix string) bool {
	stem, ok := strings.CutSuffix(top, suffix)
	dash := strings.LastIndexByte(stem, '-')
	if !ok || dash < 0 || !v.isName(stem[:dash]) {
		return false
	}
	version, err := pep.ParseVersion(stem[dash+1:])
	return err == nil && version.Equal(v.want.Version)
}

func (v *verifier) isName(s string) bool {
	return pep.ValidName(s) && pep.NormalizeName(s) == v.want.Name
}

// checkData looks at an entry below .data, whose folders an installer spreads
// over the system.
func (v *verifier) checkData(name string) {
	top, rest, _ := strings.Cut(name, "/")
	if !v.isOurs(top, ".data") {
		v.found.reject(CodeDataName, name, "not the .data of %s %s", v.want.Name, v.want.Version)
		return
	}
	scheme, below, inside := strings.Cut(rest, "/")
	known := slices.Contains([]string{"purelib", "platlib", "headers", "scripts", "data"}, scheme)
	if folder := rest == "" && strings.HasSuffix(name, "/"); !folder && (!known || !inside) {
		v.found.reject(CodeDataScheme, name, "installers know purelib, platlib, headers, scripts and data")
	}
	// Installed, it would stand beside ours, and be believed.
	first, _, _ := strings.Cut(below, "/")
	if strings.HasSuffix(strings.ToLower(first), ".dist-info") && strings.HasSuffix(scheme, "lib") {
		v.found.reject(CodeDistInfoHidden, name, "a second .dist-info that installing would bring out")
	}
	// The environment's own module folder, by a way round all other checks.
	for _, part := range strings.Split(strings.ToLower(below), "/") {
		if scheme == "data" && (part == "site-packages" || part == "dist-packages") {
			v.found.reject(CodeDataModules, name, "data that would be installed among the modules")
			return
		}
	}
}

// readFile unpacks one file of .dist-info. Nil without an error means that it is
// not to be had, which was noted.
func (v *verifier) readFile(name string, max int64, missing, tooLong string) ([]byte, error) {
	i := slices.IndexFunc(v.entries, func(e entry) bool { return e.name == name })
	if i < 0 {
		v.found.reject(missing, name, "the file is missing")
		return nil, nil
	}
	if v.entries[i].closed {
		return nil, nil
	}
	b, err := v.inflate.whole(v.src, &v.entries[i], max, tooLong)
	if err != nil {
		v.entries[i].closed = true // not to be noted again
		return nil, v.note(err)
	}
	if b == nil {
		b = []byte{}
	}
	return b, nil
}

// readMetadata reads METADATA, which must be of the job's release.
func (v *verifier) readMetadata(distInfo string) error {
	name := distInfo + "/METADATA"
	b, err := v.readFile(name, v.lim.Metadata, CodeMetadataMissing, CodeMetadataSize)
	if b == nil || err != nil {
		return err
	}
	if fields, lines := headSize(b); fields > maxFields || lines > maxLines {
		v.found.reject(CodeMetadata, name, "%d fields in %d lines; at most %d in %d are taken", fields, lines, maxFields, maxLines)
		return nil
	}
	m, err := pep.ParseMetadata(b)
	if err != nil {
		v.found.reject(CodeMetadata, name, "%v", err)
		return nil
	}
	v.report.Metadata, v.report.MetadataBytes = m, b
	if !v.isName(m.Name) {
		v.found.reject(CodeMetadataName, name, "Name is %s, want %s", m.Name, v.want.Name)
	}
	if version, err := pep.ParseVersion(m.Version); err != nil || !version.Equal(v.want.Version) {
		v.found.reject(CodeMetadataVersion, name, "Version is %s, want %s", m.Version, v.want.Version)
	}
	v.checkPython(name, m.RequiresPython)
	// PEP 566: a greater minor version is to be read, with a warning.
	major, minor, _ := strings.Cut(m.MetadataVersion, ".")
	if n, err := strconv.Atoi(minor); major == "2" && (err != nil || n > 5) || major == "1" && n > 2 {
		v.found.warn(CodeMetadataNewer, name, "Metadata-Version %s is newer than 2.5", m.MetadataVersion)
	}
	return nil
}

// checkPython warns of a Requires-Python that cannot be read, or that keeps pip on
// this very target from the wheel. Neither refuses it: old packages have both.
func (v *verifier) checkPython(name, requires string) {
	if requires == "" {
		return
	}
	s, err := pep.ParseSpecifiers(requires)
	if err != nil {
		v.found.warn(CodeRequiresPython, name, "Requires-Python: %v", err)
		return
	}
	// Of the target only the feature version is known here: 3.11 stands for its newest release.
	if p, err := pep.ParseVersion(v.want.Target.Python() + ".999"); err == nil && !s.Contains(p, true) {
		v.found.warn(CodeRequiresPython, name, "Requires-Python %s excludes the target's Python %s", requires, v.want.Target.Python())
	}
}

// headSize counts fields, and lines with the folded ones, up to the first empty line.
func headSize(b []byte) (fields, lines int) {
	for line := range bytes.Lines(b) {
		switch line[0] {
		case '\n', '\r':
			return fields, lines
		case ' ', '\t':
		default:
			fields++
		}
		lines++
	}
	return fields, lines
}

// readWheelFile reads WHEEL, which must agree with the file name.
func (v *verifier) readWheelFile(distInfo string) error {
	name := distInfo + "/WHEEL"
	b, err := v.readFile(name, v.lim.WheelFile, CodeWheelMissing, CodeWheelSize)
	if b == nil || err != nil {
		return err
	}
	w, err := pep.ParseWheelFile(b)
	if err != nil {
		v.found.reject(CodeWheel, name, "%v", err)
		return nil
	}
	if w.Version != "1.0" {
		v.found.warn(CodeWheelVersion, name, "Wheel-Version %s is newer than 1.0", w.Version)
	}
	if !v.named {
		return nil // nothing to compare with
	}
	checkWheelTags(name, w.Tags, v.report.Name, &v.found)
	if w.Build != v.report.Name.Build {
		v.found.reject(CodeWheelBuild, name, "WHEEL says build %q, the file name %q", w.Build, v.report.Name.Build)
	}
	if w.RootIsPurelib && v.report.Name.PlatformTag != "any" {
		v.found.warn(CodeWheelPurelib, name, "Root-Is-Purelib under a platform tag")
	}
	return nil
}

// readRecord reads RECORD; nil rows mean that nothing can be compared with it.
func (v *verifier) readRecord(distInfo string) error {
	name := distInfo + "/RECORD"
	b, err := v.readFile(name, v.lim.Record, CodeRecordMissing, CodeRecordSize)
	if b == nil || err != nil {
		return err
	}
	v.rows = parseRecord(b, name, v.lim.Entries, &v.found)
	return nil
}
