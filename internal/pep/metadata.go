package pep

import (
	"fmt"
	"strings"
)

// Metadata is the part of a distribution's core metadata that the farm reads.
// Values are as written, folded lines joined; a field that is not there is empty.
type Metadata struct {
	MetadataVersion string // "2.1"
	Name            string // as written: "RPi.GPIO"
	Version         string // as written, valid by PEP 440
	RequiresPython  string // a specifier, unchecked
	Summary         string
	RequiresDist    []string // PEP 508 requirements, unchecked
}

// ParseMetadata reads METADATA or PKG-INFO (core metadata, in the form of mail
// headers). It is strict: valid UTF-8, Metadata-Version 1.x or 2.x, a valid name
// and version, and no field twice that may stand there once.
func ParseMetadata(b []byte) (Metadata, error) {
	h, err := parseHeader(b)
	if err != nil {
		return Metadata{}, fmt.Errorf("metadata: %w", err)
	}
	m := Metadata{RequiresDist: h.all("Requires-Dist")}
	read := fieldReader{h: h}
	m.MetadataVersion = read.need("Metadata-Version")
	m.Name = read.need("Name")
	m.Version = read.need("Version")
	m.RequiresPython = read.one("Requires-Python")
	m.Summary = read.one("Summary")
	if read.err == nil {
		read.err = m.check()
	}
	if read.err != nil {
		return Metadata{}, fmt.Errorf("metadata: %w", read.err)
	}
	return m, nil
}

func (m Metadata) check() error {
	if major, ok := majorOf(m.MetadataVersion); !ok || major != "1" && major != "2" {
		return fmt.Errorf("Metadata-Version %s: want 1.x or 2.x", quote(m.MetadataVersion))
	}
	if !ValidName(m.Name) {
		return fmt.Errorf("Name %s: not a project's name", quote(m.Name))
	}
	_, err := ParseVersion(m.Version)
	return err
}

// WheelFile is what a wheel says about itself in .dist-info/WHEEL (PEP 427).
type WheelFile struct {
	Version       string // of the wheel format, "1.0"
	Generator     string
	RootIsPurelib bool
	Tags          []string // as written, one tag each; empty when there are none
	Build         string
}

// ParseWheelFile reads .dist-info/WHEEL. It refuses a format that is not 1.x and
// a Root-Is-Purelib that is neither true nor false (none at all means false, as
// for pip). Whether the tags are those of the file name is the caller's question.
func ParseWheelFile(b []byte) (WheelFile, error) {
	h, err := parseHeader(b)
	if err != nil {
		return WheelFile{}, fmt.Errorf("WHEEL: %w", err)
	}
	w := WheelFile{Tags: h.all("Tag")}
	read := fieldReader{h: h}
	w.Version = read.need("Wheel-Version")
	w.Generator = read.one("Generator")
	w.Build = read.one("Build")
	purelib := strings.ToLower(read.one("Root-Is-Purelib"))
	w.RootIsPurelib = purelib == "true"

	err = read.err
	if major, ok := majorOf(w.Version); err == nil && (!ok || major != "1") {
		err = fmt.Errorf("Wheel-Version %s: want 1.x", quote(w.Version))
	}
	if err == nil && purelib != "" && purelib != "true" && purelib != "false" {
		err = fmt.Errorf("Root-Is-Purelib %s: want true or false", quote(purelib))
	}
	if err != nil {
		return WheelFile{}, fmt.Errorf("WHEEL: %w", err)
	}
	return w, nil
}

// fieldReader reads fields one after the other and keeps the first error, so
// that its users list fields, not errors.
type fieldReader struct {
	h   header
	err error
}

func (r *fieldReader) one(name string) string  { return r.keep(r.h.one(name)) }
func (r *fieldReader) need(name string) string { return r.keep(r.h.need(name)) }

func (r *fieldReader) keep(value string, err error) string {
	if r.err == nil {
		r.err = err
	}
	return value
}

// majorOf returns the part before the dot of a version of two numbers.
func majorOf(version string) (major string, ok bool) {
	major, minor, _ := strings.Cut(version, ".")
	return major, isDigits(major) && isDigits(minor)
}
