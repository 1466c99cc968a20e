package main

import (
	"strings"
	"testing"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// TestFailureGroupFits: a terminal without room for the cause beside the figures has it
// below them, whole.
func TestFailureGroupFits(t *testing.T) {
	t.Parallel()
	g := store.FailureGroup{Cause: farm.MissingHeader, Detail: "libxml/xmlversion.h", Jobs: 1131, Days: make([]int64, store.FailureDays)}
	for wide, want := range map[int]string{
		60:  "\n           missing-header: libxml/xmlversion.h\n",
		80:  " missing-header\n           libxml/xmlversion.h\n",
		100: " missing-header: libxml/xmlversion.h\n",
	} {
		var out strings.Builder
		teller{out: &out, wide: wide}.group(g, 9999)
		if !strings.Contains(out.String(), want) {
			t.Errorf("%d columns: %q, want %q", wide, out.String(), want)
		}
	}
	g.Detail = "ffi.h" // which has room beside the cause on 80 columns
	for wide, want := range map[int]string{60: "\n           missing-header: ffi.h\n", 80: " missing-header: ffi.h\n", 0: " missing-header: ffi.h\n"} {
		var out strings.Builder
		teller{out: &out, wide: wide}.group(g, 9999)
		if !strings.Contains(out.String(), want) {
			t.Errorf("%d columns: %q, want %q", wide, out.String(), want)
		}
	}
	g.Detail = ""
	var out strings.Builder
	teller{out: &out, wide: 60}.group(g, 9999)
	if !strings.Contains(out.String(), "\n           missing-header\n") {
		t.Errorf("without a detail: %q", out.String())
	}
}
