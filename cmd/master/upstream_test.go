package main

import (
	"strings"
	"testing"

	"pinwheel/internal/farm"
	"pinwheel/internal/pypitest"
)

// TestCommandsAskTheFarmsUpstream: what is queued must be built from where it was
// found, whatever pip of the caller uses.
func TestCommandsAskTheFarmsUpstream(t *testing.T) {
	t.Parallel()
	upstream := pypitest.New(t, "-- pure-one==1.0 --\n")
	f := newTestFarm(t, upstream.URL(), farm.Limits{})
	got, err := farmsUpstream(t.Context(), f.Store, settings{})
	if err != nil || got != upstream.URL() {
		t.Errorf("without --upstream: %q, %v", got, err)
	}
	if _, err := farmsUpstream(t.Context(), f.Store, settings{Upstream: strings.TrimRight(upstream.URL(), "/")}); err != nil {
		t.Errorf("with the same --upstream: %v", err)
	}
	_, err = farmsUpstream(t.Context(), f.Store, settings{Upstream: "http://user:geheim@other.example/simple/"})
	if err == nil || !strings.Contains(err.Error(), upstream.URL()) || strings.Contains(err.Error(), "geheim") {
		t.Errorf("with another --upstream: %v", err)
	}
}
